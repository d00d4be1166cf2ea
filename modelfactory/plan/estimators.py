"""Turn what a family says of its estimator into one call that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelfactory.plan.steps import EstimatorCall, LinearSolve
from modelfactory.project.classes import ClassFacts, Parameter, nested_class
from modelfactory.project.specs import EstimatorSpec, FamilySpec

PIPELINE, COLUMN_TRANSFORMER = "sklearn.pipeline.Pipeline", "sklearn.compose.ColumnTransformer"
KINDS = ("numeric", "categorical")
"""Kinds of features."""
_LINEAR, _RIDGE = "sklearn.linear_model.LinearRegression", "sklearn.linear_model.Ridge"
_SCALER = "sklearn.preprocessing.StandardScaler"
_NO_MATTER = {
    _SCALER: {"copy"},
    _LINEAR: {"copy_X", "n_jobs"},
    _RIDGE: {"copy_X", "max_iter", "tol", "random_state"},
}
"""Parameters that do not decide the model, for `Ridge` by a direct solver."""
MOST_SOLVED = 100
"""Features; with more, the time goes into the decomposition itself, which scikit-learn does as fast."""
_LEAST_RATIO = 1e-5
"""Where singular values differ by more, two good solvers no longer agree within 1e-9."""


def estimator_of(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> EstimatorCall:
    """Return the call that makes a family's estimator, with its preprocessing as one scikit-learn `Pipeline`.

    Args:
        spec: a family without mistakes in its classes.
        facts: what is known of the classes, by the name as written.
    """
    steps = [(step.name, _call(step, facts)) for step in spec.pipeline]
    if spec.preprocess is not None:
        steps += _preprocess_steps(spec, facts)
    if spec.estimator is not None:
        if not steps:
            return _call(spec.estimator, facts)
        steps.append(("estimator", _call(spec.estimator, facts)))
    return _pipeline(steps)


def written_calls(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> dict[str, Any]:
    """Return the calls of a family by the keys of its definition that they are written under."""
    calls: dict[str, Any] = {}
    if spec.estimator is not None:
        calls["estimator"] = _call(spec.estimator, facts)
    if spec.pipeline:
        calls["pipeline"] = [[step.name, _call(step, facts)] for step in spec.pipeline]
    if spec.preprocess is not None:
        kinds = {kind: [_call(call, facts) for call in getattr(spec.preprocess, kind)] for kind in KINDS}
        calls["preprocess"] = {kind: chain for kind, chain in kinds.items() if chain}
    return calls


def weight_parameter(estimator: EstimatorCall) -> str:
    """Return the name of the fit parameter that takes sample weights."""
    if estimator.path != PIPELINE:
        return "sample_weight"
    return f"{_steps(estimator)[-1][0]}__sample_weight"


def hands_on(estimator: EstimatorCall, facts: Mapping[str, ClassFacts]) -> bool:
    """Tell whether the estimator fits others on its input, which then see the columns' names too."""
    paths = {known.path for known in facts.values() if known.hands_on} - {PIPELINE}
    calls = [call for _, call in _steps(estimator)] if estimator.path == PIPELINE else [estimator]
    return any(call.path in paths or len(list(call.calls())) > 1 for call in calls)


def linear_solve(estimator: EstimatorCall, n_features: int) -> LinearSolve | None:
    """Return how to solve many groups at once, or None where scikit-learn has to fit each by itself.

    `LinearRegression` and `Ridge` with a direct solver, alone or behind a `StandardScaler`, are solved at once.
    """
    if n_features > MOST_SOLVED:
        return None
    calls = [call for _, call in _steps(estimator)] if estimator.path == PIPELINE else [estimator]
    *before, final = calls
    if before and ([call.path for call in before] != [_SCALER] or _deciding(before[0])):
        return None
    given = _deciding(final)
    intercept = given.pop("fit_intercept", True)
    if given.pop("positive", False) is not False or not isinstance(intercept, bool):
        return None
    if final.path == _LINEAR:
        tolerance, alpha = given.pop("tol", 0.0), None
    elif final.path == _RIDGE and given.pop("solver", "auto") in ("auto", "cholesky"):
        tolerance, alpha = 0.0, given.pop("alpha", 1.0)
    else:
        return None
    if given or not _is_number(tolerance) or not (alpha is None or (_is_number(alpha) and alpha > 0)):
        return None
    return LinearSolve(
        standardize=bool(before),
        alpha=None if alpha is None else float(alpha),
        fit_intercept=intercept,
        least_ratio=max(_LEAST_RATIO, 10 * float(tolerance)),
    )


def _deciding(call: EstimatorCall) -> dict[str, Any]:
    """Return the parameters that decide the model."""
    return {name: value for name, value in call.params if name not in _NO_MATTER.get(call.path, ())}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _preprocess_steps(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> list[tuple[str, EstimatorCall]]:
    """Return the steps in front of the estimator.

    Numeric features alone need no `ColumnTransformer`: their transformers take the whole matrix.
    """
    chains = {kind: _named([_call(call, facts) for call in getattr(spec.preprocess, kind)]) for kind in KINDS}
    if all(feature.kind == "numeric" for feature in spec.features):
        return chains["numeric"]
    transformers = []
    for kind, chain in chains.items():
        names = [feature.name for feature in spec.features if feature.kind == kind]
        if names:
            chained = "passthrough" if not chain else chain[0][1] if len(chain) == 1 else _pipeline(chain)
            transformers.append((kind, chained, names))
    return [("preprocess", EstimatorCall(path=COLUMN_TRANSFORMER, params=(("transformers", transformers),)))]


def _call(written: EstimatorSpec, facts: Mapping[str, ClassFacts]) -> EstimatorCall:
    return _made(written.class_, written.params, facts)


def _made(name: str, params: Mapping[str, Any], facts: Mapping[str, ClassFacts]) -> EstimatorCall:
    found = facts[name]
    made = []
    for key, written in sorted(params.items()):
        parameter = found.parameters.get(key)
        forms = {form.kind for form in parameter.constraints} if parameter else set()
        value = _value(written, facts)
        # Neither YAML nor TOML has tuples; where scikit-learn insists on one, a list stands for it.
        as_tuple = isinstance(value, list) and "tuple" in forms and "list" not in forms
        made.append((key, tuple(value) if as_tuple else real_where_meant(value, parameter)))
    return EstimatorCall(path=found.path, params=tuple(made))


def real_where_meant(value: Any, parameter: Parameter | None) -> Any:
    """Write a whole number as a real where the parameter takes it as nothing else: `alpha: 1` is `alpha: 1.0`."""
    if type(value) is not int or parameter is None:
        return value
    admitted = [form for form in parameter.constraints if form.admits(value)]
    real = admitted and all(
        form.kind == "number" or (form.kind, form.number) == ("interval", "real") for form in admitted
    )
    return float(value) if real else value


def _value(value: Any, facts: Mapping[str, ClassFacts]) -> Any:
    name = nested_class(value)
    if name is not None:
        return _made(name, value.get("params") or {}, facts)
    match value:
        case list():
            items = [_value(item, facts) for item in value]
            named = any(isinstance(item, EstimatorCall) for item in items) and isinstance(items[0], str)
            return tuple(items) if named else items
        case dict():
            return {key: _value(item, facts) for key, item in value.items()}
        case _:
            return value


def _named(calls: list[EstimatorCall]) -> list[tuple[str, EstimatorCall]]:
    """Name steps by their lower-case class, as `sklearn.pipeline.make_pipeline` does."""
    names = [call.name.lower() for call in calls]
    return [
        (name if names.count(name) == 1 else f"{name}-{names[:i].count(name) + 1}", call)
        for i, (name, call) in enumerate(zip(names, calls, strict=True))
    ]


def _pipeline(steps: list[tuple[str, EstimatorCall]]) -> EstimatorCall:
    return EstimatorCall(path=PIPELINE, params=(("steps", steps),))


def _steps(pipeline: EstimatorCall) -> list[tuple[str, EstimatorCall]]:
    steps: list[tuple[str, EstimatorCall]] = dict(pipeline.params)["steps"]
    return steps
