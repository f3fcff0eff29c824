"""Hyperparameter optimization in rounds: knows studies, rounds and trials, not networks."""
