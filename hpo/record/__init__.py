"""The record: studies, rounds and trials in MLflow, and results on disk until they get there."""
