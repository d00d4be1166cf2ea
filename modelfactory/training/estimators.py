"""Make estimators out of the plan's calls."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import importlib
import pickle
import random
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from modelfactory.plan.steps import EstimatorCall, FitStep


@dataclass(frozen=True, slots=True)
class Template:
    """An unfitted estimator and the names of its random states that nobody has set.

    Attributes:
        estimator: never fitted itself.
        random_states: parameter names such as `estimator__random_state`, sorted.
        seed: seed of the family.
        foreign: a class in it is not scikit-learn's and may draw from the global random states.
        pickled: the estimator, from which a copy is made ten times faster than by `clone`; None for a foreign one.
        alone: it works on its input by itself, so that finite rows need no check inside `fit`; another estimator in it
            may be given something else.
    """

    estimator: Any
    random_states: tuple[str, ...]
    seed: int
    foreign: bool = False
    pickled: bytes | None = None
    alone: bool = False

    def for_group(self, group: int) -> Any:
        """Return a new estimator for a group; its random states come from the group's key alone."""
        if self.foreign:
            random.seed(group_seed(self.seed, group, "random"))
            np.random.seed(group_seed(self.seed, group, "numpy"))
        estimator = self._copy()
        for name in self.random_states:
            seed = group_seed(self.seed, group, name)
            if "__" in name:
                estimator.set_params(**{name: seed})
            else:
                setattr(estimator, name, seed)
        return estimator

    def _copy(self) -> Any:
        if self.pickled is not None:
            return pickle.loads(self.pickled)
        # A class with `fit` and `predict` alone has no parameters to clone by.
        return clone(self.estimator) if hasattr(self.estimator, "get_params") else copy.deepcopy(self.estimator)


def make_template(call: EstimatorCall, seed: int) -> Template:
    """Make the template of a family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a constructor has to say, it says again in each group
        estimator = construct(call)
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    open_states = sorted(
        name
        for name, value in params.items()
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    )
    calls = list(call.calls())
    foreign = not all(inner.path.startswith("sklearn.") for inner in calls)
    pickled = None
    if not foreign:
        with contextlib.suppress(Exception):
            pickled = pickle.dumps(estimator, protocol=5)
    return Template(estimator, tuple(open_states), seed, foreign, pickled, alone=not foreign and len(calls) == 1)


def name_features(step: FitStep, model: Any) -> None:
    """Give a model that was fitted from a matrix the names that a fit on a DataFrame would have left in it."""
    first = model.steps[0][1] if type(model).__name__ == "Pipeline" else model
    if hasattr(first, "n_features_in_"):
        first.feature_names_in_ = np.array([feature.name for feature in step.features], dtype=object)


def group_seed(seed: int, group: int, parameter: str) -> int:
    """Return the seed of one random state in one group, between 0 and 2**31 - 1.

    Args:
        seed: seed of the family.
        group: identity of the group, the hash of its key.
        parameter: name of the random state.
    """
    text = f"{seed}/{group}/{parameter}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") & 0x7FFFFFFF


def construct(value: Any) -> Any:
    """Turn calls into estimators, also inside lists, tuples and mappings."""
    match value:
        case EstimatorCall():
            return _class_at(value.path)(**{name: construct(item) for name, item in value.params})
        case list():
            return [construct(item) for item in value]
        case tuple():
            return tuple(construct(item) for item in value)
        case dict():
            return {key: construct(item) for key, item in value.items()}
        case _:
            return value


@functools.cache
def _class_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
