"""Copies of the folders of trials, from which the trials continue."""
