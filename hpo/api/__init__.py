"""Studies as objects: everything that the command line does, and what it is written on."""
