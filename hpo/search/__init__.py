"""The search: which hyperparameters come next, which trials stop early, where ranges move."""
