"""What users write under `tests`: one spec for each test.

The names of the fields of `TestSpec` are the names of the tests. A new test is a spec here, what the compiler can check
of it in `plan/declaring.py`, and a function of the same name in `modelfactory/testing/`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from modelfactory.project.spec_types import Budget, Count, FailureBudgetSpec, Number, Size, Spec, Tolerance, WholeShare
from modelfactory.project.spec_types import Written as Text

Stat = Literal["median", "mean", "p10", "p25", "p75", "p90", "worst", "best"]
Name = Annotated[
    Text | None, Field(description="What the test is called where its result is told; by default by what it looks at.")
]
Severity = Annotated[
    Literal["warn", "error"],
    Field(
        description="`error`: a version that fails the test is not published, and `mf test` ends with 1; `warn`: it is "
        "told, and nothing else happens."
    ),
]


def _check_limits(spec: Any) -> None:
    if spec.min is None and spec.max is None:
        raise ValueError("needs `min` or `max`, or both")
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        raise ValueError("`min` is above `max`: nothing could pass")


class CoverageSpec(Spec):
    """The share of all groups of the input that have a model; groups that were left out by rule count as without."""

    min: WholeShare = Field(description="Least share of the groups that have a model, such as `0.95` or `95%`.")
    name: Name = None
    severity: Severity = "error"


class MetricTestSpec(Spec):
    """One number of how a metric is distributed over the groups that have it."""

    name: Text = Field(description="Name of a metric that `evaluate` measures.")
    stat: Stat = Field(
        "median",
        description="Which number: of the groups in the middle, the mean, a percentile, or that of the worst or best "
        "group, whichever direction is better for the metric.",
    )
    min: Number | None = Field(None, description="Least value that passes.")
    max: Number | None = Field(None, description="Greatest value that passes.")
    severity: Severity = "error"

    @model_validator(mode="after")
    def _limits(self) -> Self:
        _check_limits(self)
        return self


class BeatsBaselineSpec(Spec):
    """The share of groups whose model is better than the baseline on the same rows."""

    metric: Text = Field(description="Name of a metric that `evaluate` measures.")
    min_share: WholeShare = Field(0.5, description="Least share of the groups whose baseline has the metric.")
    name: Name = None
    severity: Severity = "error"


class BeatsCurrentSpec(Spec):
    """The share of groups whose new model is not worse than the current one, on rows that neither was fitted on."""

    metric: Text = Field(description="Name of a metric that `evaluate` measures.")
    min_share: WholeShare = Field(
        0.5, description="Least share of the groups in which the current model could be measured on the same rows."
    )
    tolerance: Tolerance = Field(0.0, description="By how much the new model may be worse, such as `0.05` or `5%`.")
    per_group: bool = Field(
        False, description="In a group where the new model is worse, the current one stays: it does not change hands."
    )
    name: Name = None
    severity: Severity = "error"


class NoLostGroupsSpec(Spec):
    """Groups that have a model in the version before and have none in this one."""

    max: Budget = Field(
        FailureBudgetSpec(count=0),
        json_schema_extra={"default": 0},
        description="How many may be lost: a count, or a share of the groups that had a model, such as `1%`.",
    )
    name: Name = None
    severity: Severity = "error"


class MaxModelBytesSpec(Spec):
    """The size of every single model as it is stored, the global one among them."""

    max: Size = Field(description="Most bytes of any model, such as `1mb` or `500000`.")
    name: Name = None
    severity: Severity = "error"


class FiniteParametersSpec(Spec):
    """Every number that a model has learnt is finite: no coefficient is NaN or infinite."""

    name: Name = None
    severity: Severity = "error"


class PredictionRangeSpec(Spec):
    """The least and the greatest prediction of every model, on the rows that it is measured on."""

    min: Number | None = Field(None, description="Least prediction that passes.")
    max: Number | None = Field(None, description="Greatest prediction that passes.")
    name: Name = None
    severity: Severity = "error"

    @model_validator(mode="after")
    def _limits(self) -> Self:
        _check_limits(self)
        return self


class CoefficientSignSpec(Spec):
    """The sign of a feature's coefficient in the models."""

    feature: Text = Field(description="Name of a numeric feature.")
    sign: Literal["positive", "negative"] = Field(description="The sign that it should have; zero is neither.")
    min_share: WholeShare = Field(1.0, description="Least share of the models in which it has this sign.")
    name: Name = None
    severity: Severity = "error"


class StableMetricsSpec(Spec):
    """The median of a metric against the median of what it was in the versions before; only worse fails."""

    metric: Text = Field(description="Name of a metric that `evaluate` measures.")
    versions: Count = Field(3, description="How many of the last versions to compare with.")
    tolerance: Tolerance = Field(
        0.2, json_schema_extra={"default": "20%"}, description="By how much it may be worse, such as `0.2` or `20%`."
    )
    name: Name = None
    severity: Severity = "error"


class SqlTestSpec(Spec):
    """A query over the group table; each row that it returns is a failure, as in dbt."""

    query: Text = Field(
        description="One `select` in DuckDB's SQL over the tables `groups` and `previous`; needs "
        "`pip install 'modelfactory-spark[sql]'`."
    )
    name: Name = None
    severity: Severity = "error"


class TestSpec(Spec):
    """One test: its name and its parameters."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
    keys_are: ClassVar[str] = "test"

    coverage: CoverageSpec | None = Field(None, description="Share of the groups that have a model.")
    metric: MetricTestSpec | None = Field(None, description="A quantile of a metric over the groups.")
    beats_baseline: BeatsBaselineSpec | None = Field(None, description="Share of the groups that beat the baseline.")
    beats_current: BeatsCurrentSpec | None = Field(
        None, description="Share of the groups whose new model is not worse than the current one."
    )
    no_lost_groups: NoLostGroupsSpec | None = Field(None, description="No group loses its model.")
    max_model_bytes: MaxModelBytesSpec | None = Field(None, description="Size of every model.")
    finite_parameters: FiniteParametersSpec | None = Field(None, description="Every learnt number is finite.")
    prediction_range: PredictionRangeSpec | None = Field(None, description="Range of all predictions on test rows.")
    coefficient_sign: CoefficientSignSpec | None = Field(None, description="Sign of a feature's coefficient.")
    stable_metrics: StableMetricsSpec | None = Field(None, description="A metric against the versions before.")
    sql: SqlTestSpec | None = Field(None, description="A query that returns what is wrong.")

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        if len(given) != 1:
            raise ValueError("needs one test" + (f", not {' and '.join(f'`{n}`' for n in given)}" if given else ""))
        return self

    @property
    def kind(self) -> str:
        """Name of the test."""
        (kind,) = self.model_fields_set
        return kind

    @property
    def parameters(self) -> Any:
        """Its parameters: the spec of the test."""
        return getattr(self, self.kind)


BareTest = Literal["no_lost_groups", "finite_parameters"]
"""Tests that need no parameters."""


def long_test(value: Any) -> Any:
    """Return a test as its name with parameters, where the name alone is written."""
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, dict):
        return {name: {} if parameters is None else parameters for name, parameters in value.items()}
    return value
