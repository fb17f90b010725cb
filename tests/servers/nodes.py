"""The nodes of the tests' Seldon graphs, as users of seldon-core write them."""

import numpy as np

import iris

KINDS = ["setosa", "versicolor", "virginica"]


class Transformer:
    """Inches become centimetres."""

    def transform_input(self, X, names, meta=None):
        return np.asarray(X) * 2.54

    def tags(self):
        return {"unit": "cm"}

    def metrics(self):
        return [{"type": "COUNTER", "key": "converted", "value": 1}]


class Router:
    """Flowers with long petals go to the second child."""

    def route(self, X, names):
        return 1 if np.asarray(X)[0][2] > 2.5 else 0


class Model:
    """Probabilities; the parameter C makes models that differ."""

    def __init__(self, C=1.0, label="plain"):
        self.fitted = iris.fitted(C=C)
        self.label = label
        self.class_names = KINDS

    def predict(self, X, names, meta=None):
        return self.fitted.predict_proba(X)

    def tags(self):
        return {"answered_by": self.label, self.label: True}

    def metrics(self):
        return [{"type": "GAUGE", "key": f"{self.label}_size", "value": 3.0}]


class Combiner:
    """The mean of what its children say, twice as much of the second: their order shows."""

    def aggregate(self, features_list, names_list):
        return np.average([np.asarray(one) for one in features_list], axis=0, weights=[1.0, 2.0])

    def tags(self):
        return {"combined": True}
