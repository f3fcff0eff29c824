"""Copies of the folders of trials, from which these go on."""
