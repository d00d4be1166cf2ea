"""Turn what a family says of its estimator into calls that make it: one, or one for each candidate of a search."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from modelfactory.plan.steps import Candidate, EstimatorCall, LinearSolve, shown
from modelfactory.project.classes import ClassFacts, Parameter, nested_class
from modelfactory.project.specs import EstimatorSpec, FamilySpec, FinalEstimator

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


def candidates_of(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> list[tuple[FinalEstimator, list[Candidate]]]:
    """Return, for each estimator that a family names, the candidates that it makes: one, or more where it is varied.

    Args:
        spec: a family without mistakes in its classes and parameters.
        facts: what is known of the classes, by the name as written.
    """
    front = [(step.name, _call(step, facts)) for step in spec.front]
    if spec.preprocess is not None:
        front += _preprocess_steps(spec, facts)
    calls = [_call(final.spec, facts) for final in spec.finals]
    paths = {call.path for call in calls}
    found = []
    for final, call in zip(spec.finals, calls, strict=True):
        steps = {**dict(front), spec.final_step: call}
        grid = _grid(spec, final, steps, facts)
        apart = sum(path.endswith(f".{call.name}") for path in paths) > 1
        combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
        found.append((final, [_candidate(spec, steps, varied, apart=apart) for varied in combinations]))
    return found


def _candidate(
    spec: FamilySpec, steps: Mapping[str, EstimatorCall], varied: Mapping[str, Any], *, apart: bool
) -> Candidate:
    """Return a candidate.

    Args:
        spec: the family.
        steps: the estimator and what stands in front of it, by name.
        varied: the parameters that it has in the place of theirs.
        apart: tell it by its module from one of a class of the same name.
    """
    made = dict(steps)
    outside = []
    for name, value in varied.items():
        step, inner = spec.parameter_of(name)
        made[step] = _with(made[step], inner, value)
        if step != spec.final_step:
            outside.append(f", {step}__{inner}={shown(value)}")
    final = made[spec.final_step]
    call = _pipeline(list(made.items())) if len(made) > 1 or spec.pipeline else final
    module = f"{final.path.rpartition('.')[0]}." if apart else ""
    return Candidate(
        name=module + final.text() + "".join(outside), estimator=call, weight_parameter=weight_parameter(call)
    )


def _grid(
    spec: FamilySpec, final: FinalEstimator, steps: Mapping[str, EstimatorCall], facts: Mapping[str, ClassFacts]
) -> dict[str, list[Any]]:
    """Return the values of varied parameters as arguments, by name in the order of the names."""
    by_path = {known.path: known for known in facts.values()}
    found = {}
    for name, values in sorted(final.grid.items()):
        step, inner = spec.parameter_of(name)
        owner = by_path[_owner(steps[step], inner).path]
        found[name] = [_argument(value, owner.parameters.get(inner.rpartition("__")[2]), facts) for value in values]
    return found


def _owner(call: EstimatorCall, name: str) -> EstimatorCall:
    """Return the call, this or one inside it, that has a parameter."""
    head, below, rest = name.partition("__")
    return _owner(_inner(call)[head], rest) if below else call


def _inner(call: EstimatorCall) -> dict[str, EstimatorCall]:
    """Return the calls in the arguments of one, by name."""
    found = {key: value for key, value in call.params if isinstance(value, EstimatorCall)}
    lists = [item for _, value in call.params if isinstance(value, list) for item in value]
    return {
        item[0]: item[1] for item in lists if isinstance(item, tuple) and isinstance(item[1], EstimatorCall)
    } | found


def _with(call: EstimatorCall, name: str, value: Any) -> EstimatorCall:
    """Return a call with another argument, as `set_params` names it."""
    head, below, rest = name.partition("__")
    params = dict(call.params)
    if not below:
        params[head] = value
    elif head in params:
        params[head] = _with(params[head], rest, value)
    else:
        for key, items in call.params:
            if isinstance(items, list):
                params[key] = [
                    (head, _with(item[1], rest, value), *item[2:])
                    if isinstance(item, tuple) and item[0] == head
                    else item
                    for item in items
                ]
    return dataclasses.replace(call, params=tuple(sorted(params.items())))


def written_calls(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> dict[str, Any]:
    """Return the calls of a family by the keys of its definition that they are written under."""
    calls: dict[str, Any] = {}
    if spec.estimator is not None:
        calls["estimator"] = _call(spec.estimator, facts)
    if spec.search is not None:
        calls["search"] = _written_search(spec, facts)
    if spec.pipeline:
        calls["pipeline"] = [[step.name, _call(step, facts)] for step in spec.pipeline]
    if spec.preprocess is not None:
        kinds = {kind: [_call(call, facts) for call in getattr(spec.preprocess, kind)] for kind in KINDS}
        calls["preprocess"] = {kind: chain for kind, chain in kinds.items() if chain}
    return calls


def _written_search(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> dict[str, Any]:
    """Return what a search varies: by key as in the definition, an estimator as its call and its grid."""
    grids = []
    for final in spec.finals:
        steps = {step.name: _call(step, facts) for step in spec.front} | {spec.final_step: _call(final.spec, facts)}
        grids.append((final.path, steps[spec.final_step], _grid(spec, final, steps, facts)))
    return {
        "params": next((grid for path, _, grid in grids if path[0] != "search"), {}),
        "estimators": [(call, grid) for path, call, grid in grids if path[0] == "search"],
    }


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
    made = [(key, _argument(value, found.parameters.get(key), facts)) for key, value in sorted(params.items())]
    return EstimatorCall(path=found.path, params=tuple(made))


def _argument(written: Any, parameter: Parameter | None, facts: Mapping[str, ClassFacts]) -> Any:
    """Return what a parameter is given for a value as written."""
    forms = {form.kind for form in parameter.constraints} if parameter else set()
    value = _value(written, facts)
    # Neither YAML nor TOML has tuples; where scikit-learn insists on one, a list stands for it.
    as_tuple = isinstance(value, list) and "tuple" in forms and "list" not in forms
    return tuple(value) if as_tuple else real_where_meant(value, parameter)


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
