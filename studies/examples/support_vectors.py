"""A support vector machine in scikit-learn, cross-validated on a bundled data set."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def accuracy(C: float, gamma: float, *, folds: int = 5) -> float:
    """Return the mean accuracy over the folds."""
    inputs, targets = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), SVC(C=C, gamma=gamma))
    return cross_val_score(model, inputs, targets, cv=folds).mean()
