"""Estimators for tests, importable on workers: they misbehave, or remember what they were given."""

from __future__ import annotations

import time

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Remember(RegressorMixin, BaseEstimator):
    """Keeps its input, and predicts the mean."""

    def fit(self, X, y, sample_weight=None):
        self.n_features_in_ = X.shape[1]
        self.X_ = X if hasattr(X, "columns") else np.array(X)
        self.y_ = np.array(y)
        self.weight_ = sample_weight
        return self

    def predict(self, X):
        return np.full(len(X), self.y_.mean())


class FailsOnNegative(RegressorMixin, BaseEstimator):
    """Raises where the first feature is negative, and otherwise predicts the mean."""

    def fit(self, X, y):
        if (np.asarray(X)[:, 0] < 0).any():
            raise ValueError("a negative number\nand more")
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


class Slow(FailsOnNegative):
    """Takes a minute where the first feature is negative."""

    def fit(self, X, y):
        if (np.asarray(X)[:, 0] < 0).any():
            for _ in range(6000):
                time.sleep(0.01)
        return super().fit(np.abs(X), y)


class Sleeps(FailsOnNegative):
    """Takes a second."""

    def fit(self, X, y):
        time.sleep(1)
        return super().fit(np.abs(X), y)


class Unmakeable(FailsOnNegative):
    """Cannot be made."""

    def __init__(self):
        raise OSError("there is no such machine")
