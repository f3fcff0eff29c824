"""Hyperparameter optimization in rounds: knows studies, rounds and trials, not networks."""

from hpo.errors import Infeasible

__all__ = ["Infeasible"]
