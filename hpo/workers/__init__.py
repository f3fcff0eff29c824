"""Workers: one attempt at a trial, in this process or in many of Ray's."""
