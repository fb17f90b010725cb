"""The model that all servers here serve: logistic regression over scikit-learn's iris flowers, four numbers a row."""

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def fitted(**options):
    """The same data and the same solver make the same model, in every process of one scikit-learn."""
    features, kinds = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=1000, **options).fit(features, kinds)
