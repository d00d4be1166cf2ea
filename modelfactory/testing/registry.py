"""Every test by its name, and the one way to run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from modelfactory.diagnostics import MfError, shortened
from modelfactory.plan.steps import DeclaredTest
from modelfactory.testing import metrics, models, queries
from modelfactory.testing.results import TestResult, Verdict
from modelfactory.testing.tested import CannotJudge, Finding, Tested

Judge = Callable[[Tested, DeclaredTest], Finding]
"""Judges a version by a test. What it raises is told as `error`, which holds the version back."""
REGISTRY: Mapping[str, Judge] = MappingProxyType(
    {
        "coverage": metrics.coverage,
        "metric": metrics.metric,
        "beats_baseline": metrics.beats_baseline,
        "beats_current": metrics.beats_current,
        "no_lost_groups": metrics.no_lost_groups,
        "max_model_bytes": metrics.max_model_bytes,
        "finite_parameters": models.finite_parameters,
        "prediction_range": metrics.prediction_range,
        "coefficient_sign": models.coefficient_sign,
        "stable_metrics": metrics.stable_metrics,
        "sql": queries.sql,
    }
)
"""The keys are those of `project.test_specs.TestSpec`."""
_LONGEST = 300
"""Characters of what a test says that could not be judged."""


def run_tests(tested: Tested) -> Iterator[TestResult]:
    """Yield what comes of each test that is declared of a version, in their order."""
    for test in tested.tests:
        yield _result(tested, test)


def _result(tested: Tested, test: DeclaredTest) -> TestResult:
    try:
        finding = REGISTRY[test.kind](tested, test)
    except CannotJudge as error:
        return _told(test, "error", Finding(False, str(error)))
    except MfError as error:
        return _told(test, "error", Finding(False, error.diagnostics[0].message))
    except Exception as error:  # whatever is wrong with a model, the other tests go on
        said = shortened(" ".join(f"{type(error).__name__}: {error}".split()), _LONGEST)
        return _told(test, "error", Finding(False, said))
    match finding.passed:
        case None:
            return _told(test, "skipped", finding)
        case True:
            return _told(test, "pass", finding)
        case False:
            return _told(test, "warn" if test.severity == "warn" else "fail", finding)


def _told(test: DeclaredTest, status: Verdict, finding: Finding) -> TestResult:
    """Put a finding into a result; of a test that passes, no group fails."""
    failing = finding.failing
    passed = status in ("pass", "skipped")
    return TestResult(
        name=test.name,
        kind=test.kind,
        severity=test.severity,
        status=status,
        message=finding.message,
        n_failing=0 if passed else failing.count,
        failing=() if passed else failing.first,
    )
