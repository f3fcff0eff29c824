"""The service: rounds of trials with ranges that move in between, and repeats of the best."""
