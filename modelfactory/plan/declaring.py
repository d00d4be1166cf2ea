"""Compile the declared tests of a family, and find those that could never be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from modelfactory.diagnostics import Code, did_you_mean
from modelfactory.plan.metrics import METRICS, Task
from modelfactory.plan.steps import DeclaredTest, Evaluation
from modelfactory.project.classes import ClassFacts, Mistake, nested_class
from modelfactory.project.positions import KeyPath
from modelfactory.project.spec_types import Spec
from modelfactory.project.specs import FamilySpec
from modelfactory.project.test_specs import TestSpec

PREDICTION_RANGE = "prediction_range"
"""The test that looks at predictions, which have to be measured for it."""
_LINEAR_MODULES = ("sklearn.linear_model.", "sklearn.cross_decomposition.")
_LINEAR_CLASSES = frozenset(
    {
        "sklearn.svm.LinearSVC",
        "sklearn.svm.LinearSVR",
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    }
)
_KERNEL_CLASSES = frozenset({"sklearn.svm.SVC", "sklearn.svm.SVR", "sklearn.svm.NuSVC", "sklearn.svm.NuSVR"})
"""They have coefficients with `kernel: linear`."""


def declared_tests(spec: FamilySpec) -> tuple[DeclaredTest, ...]:
    """Return the tests of a family in the order in which they are declared."""
    return tuple(_declared(test) for test in spec.tests)


def _declared(test: TestSpec) -> DeclaredTest:
    given: Spec = test.parameters
    values = dict(given)
    severity = values.pop("severity")
    name = None if test.kind == "metric" else values.pop("name")
    parameters = tuple((key, _plain(value)) for key, value in values.items())
    return DeclaredTest(
        kind=test.kind,
        name=name or " ".join([test.kind, *_subject(values)]),
        severity=severity,
        parameters=parameters,
    )


def _subject(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield what tells a test from others of its kind."""
    for key in ("name", "stat", "metric", "feature", "sign"):
        if key in parameters:
            yield str(parameters[key])


def _plain(value: Any) -> Any:
    """Return a parameter that is a spec of its own as names and values."""
    return tuple(value) if isinstance(value, Spec) else value


@dataclass(frozen=True, slots=True)
class _Family:
    """What the checks of a test look at.

    Attributes:
        spec: the family.
        task: what kind of models it has.
        evaluation: how they are measured.
        facts: what is known of the classes it names, by the name as written.
    """

    spec: FamilySpec
    task: Task
    evaluation: Evaluation | None
    facts: Mapping[str, ClassFacts]


def check_tests(
    spec: FamilySpec, task: Task, evaluation: Evaluation | None, facts: Mapping[str, ClassFacts]
) -> Iterator[Mistake]:
    """Yield what is wrong with the tests of a family, by their paths in it.

    Args:
        spec: the family.
        task: what kind of models it has.
        evaluation: how they are measured; None where they are not, or `evaluate` itself is wrong.
        facts: what is known of the classes it names, by the name as written.
    """
    family = _Family(spec, task, evaluation, facts)
    for index, test in enumerate(spec.tests):
        path: KeyPath = ("tests", index, test.kind)
        check = _CHECKS.get(test.kind)
        for mistake in check(family, test) if check is not None else ():
            yield Mistake(mistake.code, mistake.message, (*path, *mistake.path), mistake.key, mistake.help)


def _measured(family: _Family, test: TestSpec) -> Iterator[Mistake]:
    """Check that the metric of a test is measured."""
    key = "name" if test.kind == "metric" else "metric"
    name = getattr(test.parameters, key)
    if family.spec.evaluate is None:
        yield _unmeasured(test)
    elif family.evaluation is not None and name not in family.evaluation.metrics:
        names = family.evaluation.metrics
        known = name in METRICS and METRICS[name].task == family.task
        yield Mistake(
            Code.UNKNOWN_METRIC,
            f"`evaluate` does not measure `{name}`" if known else f"unknown metric `{name}`",
            (key,),
            help=f"add it to the `metrics` of `evaluate`, which are {_listed(names)}"
            if known
            else did_you_mean(name, names),
        )


def _current(family: _Family, test: TestSpec) -> Iterator[Mistake]:
    yield from _measured(family, test)
    evaluate = family.spec.evaluate
    if evaluate is None:
        return
    remedy = "the current model must not have been fitted on the rows that both are measured on: `holdout` without "
    remedy += "`refit` holds out the same rows in every version"
    if evaluate.holdout is None:
        method = "by_time" if evaluate.by_time is not None else "folds"
        yield Mistake(Code.CONFLICT, f"`beats_current` cannot go with `{method}`", (), key=True, help=remedy)
    elif evaluate.refit:
        yield Mistake(Code.CONFLICT, "`beats_current` cannot go with `refit: true`", (), key=True, help=remedy)


def _range(family: _Family, test: TestSpec) -> Iterator[Mistake]:
    if family.task != "regression":
        message = f"`{test.kind}` looks at predictions that are numbers, and this is {family.task}"
        yield Mistake(Code.CONFLICT, message, (), key=True)
    elif family.spec.evaluate is None:
        yield _unmeasured(test)


def _sign(family: _Family, test: TestSpec) -> Iterator[Mistake]:
    kinds = {feature.name: feature.kind for feature in family.spec.features}
    name = test.parameters.feature
    if name not in kinds:
        message, near = f"there is no feature `{name}`", did_you_mean(name, list(kinds))
        yield Mistake(Code.CONFLICT, message, ("feature",), help=near)
    elif kinds[name] == "categorical":
        message = f"`{name}` is categorical: it has a coefficient for each of its values"
        yield Mistake(Code.CONFLICT, message, ("feature",))
    for call in (final.spec for final in family.spec.finals):
        known = family.facts.get(call.class_)
        if known is not None and known.error is None and not _may_be_linear(call.class_, call.params, family.facts):
            yield Mistake(Code.CONFLICT, f"{known.name} has no coefficients", (), key=True)


_CHECKS: Mapping[str, Callable[[_Family, TestSpec], Iterator[Mistake]]] = MappingProxyType(
    {
        "metric": _measured,
        "beats_baseline": _measured,
        "beats_current": _current,
        "stable_metrics": _measured,
        PREDICTION_RANGE: _range,
        "coefficient_sign": _sign,
    }
)
"""What can be wrong with a test that its spec alone does not show."""


def _unmeasured(test: TestSpec) -> Mistake:
    message = f"`{test.kind}` needs `evaluate`: without it nothing is measured"
    return Mistake(Code.CONFLICT, message, (), key=True, help="evaluate: {holdout: 0.2}")


def _may_be_linear(name: str, params: Mapping[str, Any], facts: Mapping[str, ClassFacts]) -> bool:
    """Tell whether a class, or what it searches the parameters of, may have coefficients once it is fitted."""
    found = facts[name]
    nested = params.get("estimator")
    inner = nested_class(nested)
    if found.path.startswith("sklearn.model_selection.") and inner is not None and isinstance(nested, dict):
        return inner not in facts or _may_be_linear(inner, nested.get("params") or {}, facts)
    if not found.path.startswith("sklearn."):
        return True  # who knows
    if found.path in _KERNEL_CLASSES:
        return bool(params.get("kernel") == "linear")
    return found.path in _LINEAR_CLASSES or found.path.startswith(_LINEAR_MODULES)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
