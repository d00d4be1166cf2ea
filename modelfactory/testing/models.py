"""Tests that look into models: at all numbers at once where the models are linear, else at each one loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelfactory.diagnostics import counted
from modelfactory.plan.outcomes import SERVED
from modelfactory.plan.steps import DeclaredTest
from modelfactory.testing.tested import CannotJudge, Finding, Mask, Tested, compared, counted_groups

_NOT_LEARNT = frozenset(
    {
        "cv_results_",  # of a search: a fit that failed has no score
        "best_score_",
        "scores_",  # of a selection of features: of a constant one
        "pvalues_",
        "categories_",  # null may be one
        "statistics_",  # of an imputer: a column without any value is dropped
        "reachability_",  # of OPTICS: the first row is reached from nowhere
        "core_distances_",
        "oob_score_",
        "oob_prediction_",  # of bagging: a row that is in every bag has none
        "oob_decision_function_",
    }
)
"""Attributes of fitted estimators that record what the rows were or how the fit went; NaN and infinity may be right."""
_PARTS = ("steps", "transformer_list", "estimator", "calibrators", "_predictors", "_baseline_prediction")
"""Attributes that hold what was learnt though their names do not end in an underscore."""


def finite_parameters(tested: Tested, _: DeclaredTest) -> Finding:
    """Judge that every number that the models have learnt is finite."""
    chosen = np.flatnonzero(_to_look_at(tested))
    wrong = np.zeros(len(tested.has_model), dtype=bool)
    linear = tested.models.linear_of(chosen) if len(chosen) else None
    if linear is not None:
        for numbers in (linear.coef, linear.intercept[:, None], linear.mean, linear.scale):
            if numbers is not None:
                wrong[chosen] |= ~np.isfinite(numbers[chosen]).all(axis=1)
    else:
        for group, model in tested.models.load_all(chosen.tolist()):
            wrong[group] = not is_finite(model)
    alone = [is_finite(model) for _, model in tested.models.whole().load_all()] if _whole_to_look_at(tested) else []
    failing, models = tested.failing(wrong), counted(len(chosen) + len(alone), "model")
    if all(alone) and not failing.count:
        return Finding(True, f"{models} finite")
    among = "" if all(alone) else ", the global one among them"
    return Finding(False, f"{failing.count + alone.count(False):,} of {models} not finite{among}", failing)


def coefficient_sign(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge the sign of a feature's coefficient."""
    feature, names = test["feature"], [feature.name for feature in tested.record.features]
    if feature not in names:
        raise CannotJudge(f"version {tested.record.number} has no feature `{feature}`")
    groups = np.flatnonzero(tested.has_model)
    if not len(groups):
        raise CannotJudge("no group has a model")
    coefficients = np.full(len(tested.has_model), np.nan)
    linear = tested.models.linear_of(groups)
    if linear is not None:
        coefficients[groups] = linear.coef[groups, names.index(feature)]
    else:
        for group, model in tested.models.load_all(groups.tolist()):
            coefficients[group] = coefficient_of(model, feature, names)
    right = coefficients > 0 if test["sign"] == "positive" else coefficients < 0
    share = float(right[groups].mean())
    passed = share >= test["min_share"]
    failing = tested.failing(tested.has_model & ~right)
    said = compared(share, ">=" if passed else "<", test["min_share"])
    return Finding(passed, said if passed else said + counted_groups(failing, "otherwise"), failing)


def _to_look_at(tested: Tested) -> Mask:
    """Return the groups whose models were not looked at when an earlier version was published."""
    if tested.anew:
        return tested.has_model
    own = np.asarray(tested.groups["model_version"].fill_null(0).to_numpy()) == tested.record.number
    chosen: Mask = tested.has_model & own
    return chosen


def _whole_to_look_at(tested: Tested) -> bool:
    """Tell the same of the model of all rows; it is the version's own where no other is named."""
    whole = tested.record.global_model
    return whole is not None and whole.status in SERVED and (tested.anew or whole.model_version is None)


# One model ------------------------------------------------------------------------------------------------------------


def is_finite(model: Any) -> bool:
    """Tell whether all numbers that a fitted estimator has learnt are finite, those of estimators inside it too."""
    return all(np.isfinite(numbers).all() for numbers in _numbers(model, set()))


def _numbers(value: Any, seen: set[int]) -> Iterator[npt.NDArray[np.float64]]:
    match value:
        case float() | np.floating():
            yield np.asarray(value)
        case np.ndarray() if value.dtype.names is not None:  # the nodes of a histogram's tree
            yield from ([value["value"]] if "value" in value.dtype.names else [])
        case np.ndarray() if value.dtype == object:
            for item in value.flat:
                yield from _numbers(item, seen)
        case np.ndarray():
            yield from ([value] if np.issubdtype(value.dtype, np.floating) else [])
        case dict():
            for item in value.values():
                yield from _numbers(item, seen)
        case list() | tuple():
            for item in value:
                yield from _numbers(item, seen)
        case str() | int() | None:
            return
        case _ if id(value) not in seen:
            seen.add(id(value))
            for name, part in _learnt(value):
                if name not in _NOT_LEARNT:
                    yield from _numbers(part, seen)


def _learnt(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object that hold what it has learnt."""
    module = type(value).__module__
    if module == "sklearn.tree._tree":
        yield "value", value.value
    elif module.startswith("scipy.sparse"):
        yield "data", value.data
    elif module == "sklearn.ensemble._hist_gradient_boosting.predictor":
        yield "nodes", value.nodes
    elif any(hasattr(value, name) for name in ("get_params", "fit", "predict_proba")):
        for name, part in vars(value).items():
            if name in _PARTS or (name.endswith("_") and not name.startswith("_")):
                yield name, part


def coefficient_of(model: Any, feature: str, names: Sequence[str]) -> float:
    """Return the coefficient of a feature in a fitted estimator.

    Args:
        model: a linear estimator, a pipeline that ends in one, or a search for one.
        feature: name of the feature.
        names: the features in the order in which the model takes them.

    Raises:
        CannotJudge: it has no such coefficient, or several.
    """
    model = getattr(model, "best_estimator_", model)
    columns, final = list(names), model
    if hasattr(model, "steps"):
        final = getattr(model.steps[-1][1], "best_estimator_", model.steps[-1][1])
        if len(model.steps) > 1:
            columns = list(model[:-1].get_feature_names_out(np.asarray(names, dtype=object)))
    if not hasattr(final, "coef_"):
        raise CannotJudge(f"a model has no coefficients: {type(final).__name__}")
    coef = np.atleast_2d(np.asarray(final.coef_, dtype=np.float64))
    found = [i for i, name in enumerate(columns) if name in (feature, f"numeric__{feature}")]
    if len(coef) > 1 or len(found) != 1 or coef.shape[1] != len(columns):
        raise CannotJudge(f"a model has not one coefficient of `{feature}`: {type(final).__name__}")
    return float(coef[0, found[0]])
