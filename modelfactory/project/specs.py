"""What users write: Pydantic models of the project files.

The descriptions are the reference: `docs/reference.md` is generated from them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from modelfactory.project.spec_types import (
    Budget,
    Count,
    FailureBudgetSpec,
    Short,
    Spec,
    Written,
    exclusive,
    not_bool,
    text_like,
)
from modelfactory.project.test_specs import BareTest, TestSpec, long_test

if TYPE_CHECKING:
    from modelfactory.project.positions import KeyPath

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
ESTIMATOR_STEP = "estimator"
"""Name of the last step of a pipeline whose estimator stands apart from it."""
CLASS_FORMAT = "class"
"""How the JSON Schema of a spec marks the name of an estimator class."""
ARGUMENT_FORMAT = "argument"
"""How it marks a value of a class's parameter, in which estimators may be nested."""
_CONNECT_URL = re.compile(r"(?P<address>sc://(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?)(?:/(?:;[^/]*)?)?")
_DURATION = r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?"
_MEMORY = r"(\d+(?:\.\d+)?)\s*([mMgG])[bB]?"


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _class_name(value: Any) -> Any:
    return {"class": value} if isinstance(value, str) else value


def _column_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return not_bool(value)
    found = re.fullmatch(_DURATION, value.strip())
    if not found or not any(found.groups()):
        raise ValueError("must be a duration such as 30s, 10m or 1h30m, or a number of seconds")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def _bytes(value: Any) -> Any:
    found = re.fullmatch(_MEMORY, value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be an amount of memory such as 512m or 2g")
    amount = int(float(found[1]) * (1 << {"m": 20, "g": 30}[found[2].lower()]))
    if amount < 512 << 20:
        raise ValueError("must be at least 512m: the libraries alone take some 300 MB")
    return amount


def _connect_url(value: str) -> str:
    if not _CONNECT_URL.fullmatch(value):
        raise ValueError("must be the URL of a Spark Connect server, such as sc://host:15002")
    return value


def _option(value: Any) -> Any:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("must be text, a number, true or false")
    return value


Steps = Annotated[int, Field(ge=0), BeforeValidator(not_bool)]
Share = Annotated[float, Field(gt=0, lt=1), BeforeValidator(not_bool)]
Seconds = Annotated[float, Field(gt=0), Short(text_like(f"(?=.*[1-9]){_DURATION}"), _seconds)]
Memory = Annotated[int, BeforeValidator(_bytes, json_schema_input_type=text_like(_MEMORY))]
Folds = Annotated[int, Field(ge=2), BeforeValidator(not_bool)]
Names = Annotated[tuple[str, ...], Short(str, _as_list)]
Option = Annotated[Any, BeforeValidator(_option, json_schema_input_type=str | bool | float)]
NotEmpty = Field(min_length=1, json_schema_extra={"minItems": 1})
Argument = Annotated[Any, WithJsonSchema({"format": ARGUMENT_FORMAT})]
Grid = dict[str, Annotated[list[Argument], NotEmpty]]
ConnectUrl = Annotated[str, AfterValidator(_connect_url), Field(json_schema_extra={"pattern": "^sc://"})]
ClassName = Annotated[str, Field(json_schema_extra={"format": CLASS_FORMAT})]


class ColumnSpec(Spec):
    """One column that a source promises to have."""

    name: str = Field(description="Name of the column.")
    type: str | None = Field(
        None, description="Spark SQL type the column must have, such as `double` or `decimal(10,2)`."
    )
    description: str | None = Field(None, description="What the column holds.")


class SourceSpec(Spec):
    """A declared input table: a path with a format, or a catalog table."""

    model_config = ConfigDict(json_schema_extra=exclusive("path", "table", needed=False))

    name: str = Field(pattern=NAME_PATTERN, description="Name of the source; unique in the project.")
    description: str | None = Field(None, description="What the table holds.")
    path: str | None = Field(None, description="Path or URL of the data; a relative path starts at the project folder.")
    table: str | None = Field(None, description="Name of a table in Spark's catalog, instead of `path`.")
    format: str = Field("parquet", description="Format of `path`: whatever the Spark at hand can read.")
    options: dict[str, Option] = Field({}, description="Options of the Spark reader, such as `header: true` for CSV.")
    columns: tuple[Annotated[ColumnSpec, Short(str, _column_name)], ...] = Field(
        (), description="Columns the source must have; checked before training."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is not None and self.table is not None:
            raise ValueError("a source needs `path` or `table`, one of them")
        if self.path is None and self.table is None and not (self.options and "format" in self.model_fields_set):
            raise ValueError("a source needs `path` or `table`, or a `format` with the options to find its rows")
        return self


class FeatureSpec(Spec):
    """One input column of the models."""

    name: Written = Field(description="Name of the column.")
    kind: Literal["numeric", "categorical"] = Field(
        "numeric",
        description="`numeric` travels as double, `categorical` as string; the same in every group and when scoring.",
    )


class EstimatorSpec(Spec):
    """A class with scikit-learn's `fit` protocol and its parameters; the class name alone where it has none."""

    class_: ClassName = Field(
        alias="class",
        description="Public scikit-learn class by its bare name, or the dotted path of a class whose package is in "
        "`estimator_packages`.",
    )
    params: dict[str, Any] = Field(
        {}, description="Parameters of the class; a nested estimator is again `{class, params}`."
    )


Estimator = Annotated[EstimatorSpec, Short(ClassName, _class_name)]
Estimators = Annotated[tuple[Estimator, ...], Short(Estimator, lambda v: [v] if isinstance(v, str | dict) else v)]


class PipelineStepSpec(EstimatorSpec):
    """One named step of an explicit pipeline."""

    name: str = Field(pattern=NAME_PATTERN, description="Name of the step, as in `sklearn.pipeline.Pipeline`.")


class SearchedEstimatorSpec(EstimatorSpec):
    """An estimator that a search compares with others; the class name alone where it has no parameters."""

    search: Grid = Field(
        {}, description="Parameters of the class to vary, each with a list of values; all combinations are compared."
    )


class SearchSpec(Spec):
    """How the estimator of each group is chosen out of several candidates."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["params"], "properties": {"params": {"minProperties": 1}}},
                {"required": ["estimators"], "properties": {"estimators": {"minItems": 1}}},
            ]
        }
    )

    params: Grid = Field(
        {},
        description="Parameters of the family's `estimator` to vary, each with a list of values, under the names that "
        "scikit-learn's `set_params` takes; those of a step of `pipeline` are `step__name`. All combinations are "
        "compared.",
    )
    estimators: tuple[Annotated[SearchedEstimatorSpec, Short(ClassName, _class_name)], ...] = Field(
        (), description="Estimators to compare besides `estimator`, which may be left out then."
    )
    folds: Folds = Field(
        5, description="Number of folds of the rows to fit on; every candidate is measured on the same ones."
    )
    metric: Written | None = Field(
        None, description="Name of the metric by which candidates are compared; by default `rmse` or `accuracy`."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.params and not self.estimators:
            raise ValueError("needs `params` to vary, or `estimators` to compare")
        return self


@dataclass(frozen=True, slots=True)
class FinalEstimator:
    """An estimator that may be fitted in a group.

    Attributes:
        spec: the class and its parameters.
        path: where it stands in the family.
        grid: the parameters to vary.
        grid_path: where these stand.
    """

    spec: EstimatorSpec
    path: KeyPath
    grid: Mapping[str, list[Any]]
    grid_path: KeyPath


class PreprocessSpec(Spec):
    """Transformers in front of the estimator, by kind of feature."""

    numeric: Estimators = Field((), description="Transformers of the numeric features, in order.")
    categorical: Estimators = Field((), description="Transformers of the categorical features, in order.")


class ByTimeSpec(Spec):
    """Measure on the latest rows of each group."""

    column: Written = Field(description="Date, timestamp or numeric column that orders the rows.")
    last: Share = Field(0.2, description="Share of each group's rows, the latest ones, to measure on.")


class EvaluateSpec(Spec):
    """How models are measured; exactly one of `holdout`, `by_time` and `folds`."""

    model_config = ConfigDict(json_schema_extra=exclusive("holdout", "by_time", "folds", needed=True))

    holdout: Share | None = Field(
        None,
        description="Share of rows to measure on, chosen by a hash of each row's content and `seed`, never by its "
        "position.",
    )
    by_time: ByTimeSpec | None = Field(None, description="Measure on the latest rows of each group.")
    folds: Folds | None = Field(
        None,
        description="Number of folds: each row is measured once; the stored model is fitted on all rows.",
    )
    metrics: Names = Field(
        (), description="Names of metrics; by default `rmse, mae, r2` or `accuracy, balanced_accuracy`."
    )
    refit: bool = Field(False, description="After measuring, fit the stored model again on all rows.")

    @model_validator(mode="after")
    def _one_method(self) -> Self:
        given = [name for name in ("holdout", "by_time", "folds") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "needs one of `holdout`, `by_time` and `folds`" + (f", not {' and '.join(given)}" if given else "")
            )
        return self


class FamilySpec(Spec):
    """One declared set of models: one estimator definition, trained once per group."""

    model_config = ConfigDict(json_schema_extra=exclusive("source", "sql", "sql_file", needed=False))

    name: str = Field(pattern=NAME_PATTERN, description="Name of the family; unique in the project.")
    description: str | None = Field(None, description="What the models are for.")
    group_by: Annotated[tuple[Written, ...], Short(Written, _as_list), NotEmpty] = Field(
        description="Columns whose distinct values are the groups."
    )
    source: str | None = Field(None, description="Name of the source to train on.")
    sql: Written | None = Field(
        None,
        description="Query to train on, instead of `source`; Jinja with `source()`, `ref()`, `var()`, `env_var()` and "
        "`target`.",
    )
    sql_file: str | None = Field(
        None, description="File that holds the query, relative to the project folder, instead of `sql`."
    )
    where: Written | None = Field(None, description="Spark SQL predicate; rows that fail it are not part of the input.")
    features: Annotated[
        tuple[Annotated[FeatureSpec, Short(Written, _column_name)], ...],
        Short(Written, _as_list),
        NotEmpty,
    ] = Field(description="Columns the models learn from; a name alone is a numeric feature.")
    label: Written | None = Field(None, description="Column to learn; absent for unsupervised estimators.")
    weight: Written | None = Field(None, description="Column of sample weights.")
    estimator: Estimator | None = Field(
        None, description="The scikit-learn class to fit in every group, and its parameters."
    )
    preprocess: PreprocessSpec | None = Field(
        None, description="Transformers by kind of feature; makes a scikit-learn `Pipeline`."
    )
    pipeline: tuple[PipelineStepSpec, ...] = Field(
        (),
        description="Named steps of a scikit-learn `Pipeline`, instead of `preprocess`; the last step is the estimator "
        "unless `estimator` or `search.estimators` is given.",
    )
    search: SearchSpec | None = Field(
        None,
        description="Compare several candidates in every group and keep the best; without it, every group gets "
        "`estimator` as it is.",
    )
    evaluate: EvaluateSpec | None = Field(
        None,
        description="How models are measured; without it they are fitted on all rows and have no metrics.",
    )
    min_rows: Count = Field(
        1,
        description="A group with fewer usable rows is not trained: `too_few_rows`. Usable rows have a label.",
    )
    max_rows: Count | None = Field(
        None, description="A group with more usable rows is not shipped to a worker, as `on_too_many` says."
    )
    on_too_many: Literal["skip", "sample"] = Field(
        "skip",
        description="What becomes of a group with more than `max_rows` usable rows: an outcome `too_many_rows`, or a "
        "model fitted on a sample of `max_rows` of them, which depends on the rows and the `seed` alone.",
    )
    null_keys: Literal["skip", "error", "group"] = Field(
        "skip",
        description="What becomes of groups with a null in a group column: an outcome `null_key`, an error, or a model "
        "like any other.",
    )
    on_vanished: Literal["keep", "retire"] = Field(
        "keep",
        description="What becomes of a group that the input does not have any more: its model is kept and answers, "
        "with `n_rows` 0 and the reason `vanished`, or the group is left out of the next version.",
    )
    retrain_on: Annotated[tuple[Literal["environment"], ...], Short(Literal["environment"], _as_list)] = Field(
        (),
        description="What else than other rows or another definition is a reason to train a group again: "
        "`environment`, that is other versions of Python and the libraries.",
    )
    timeout: Seconds | None = Field(
        None,
        description="Longest time for one group, such as `10m`: `timed_out`. Compiled code that does not return to "
        "Python is ended with its process, a tenth of the time and a second later.",
    )
    max_failed: Budget = Field(
        FailureBudgetSpec(share=0.01),
        json_schema_extra={"default": "1%"},
        description="Share (`1%`, `0.01`) or count of failed groups above which the version is not published.",
    )
    seed: Annotated[int, Field(ge=0), BeforeValidator(not_bool)] = Field(
        0,
        description="Seed of the holdout and, together with the group's key, of every open `random_state`.",
    )
    persistence: Literal["pickle", "skops"] = Field(
        "pickle",
        description="How models are written: `pickle`, small and fast, of which only what estimators need is loaded; "
        "or `skops`, which other programs can read without unpickling, and which needs "
        "`pip install 'modelfactory-spark[skops]'`.",
    )
    fallback: str | None = Field(
        None,
        description="What stands in for groups that have no model: a coarser family, whose `group_by` is part of this "
        "one's; or `global`, one model more of the same estimator, fitted on the rows of all groups.",
    )
    tests: tuple[Annotated[TestSpec, Short(BareTest, long_test)], ...] = Field(
        (),
        description="What must hold of a version before it is published; `mf test` looks again. A test that needs no "
        "parameters may be its name alone.",
    )
    tags: Names = Field((), description="Tags for selection; those of folder and project defaults are added.")
    owner: str | None = Field(None, description="Who answers for the family.")
    meta: dict[str, Any] = Field({}, description="Anything else worth keeping beside the family.")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        given = [name for name in ("source", "sql", "sql_file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "needs one of `source`, `sql` and `sql_file`" + (f", not {' and '.join(given)}" if given else "")
            )
        if self.max_rows is not None and self.max_rows < self.min_rows:
            raise ValueError("`max_rows` is below `min_rows`: no group could be trained")
        if self.on_too_many == "sample" and self.max_rows is None:
            raise ValueError("`on_too_many: sample` needs `max_rows`, the size of the sample")
        if not self.finals:
            raise ValueError("needs an `estimator` or a `pipeline`")
        if self.preprocess is not None and self.pipeline:
            raise ValueError(
                "`preprocess` and `pipeline` exclude each other: put the transformers into the pipeline's steps"
            )
        return self

    @property
    def finals(self) -> tuple[FinalEstimator, ...]:
        """The estimators that may be fitted in a group: one, or several where there is a `search`."""
        grid, others = ({}, ()) if self.search is None else (self.search.params, self.search.estimators)
        own = self.estimator or (None if others else next(reversed(self.pipeline), None))
        path: KeyPath = ("estimator",) if self.estimator is not None else ("pipeline", len(self.pipeline) - 1)
        found = [] if own is None else [FinalEstimator(own, path, grid, ("search", "params"))]
        for i, other in enumerate(others):
            path = ("search", "estimators", i)
            found.append(FinalEstimator(other, path, other.search, (*path, "search")))
        return tuple(found)

    @property
    def front(self) -> tuple[PipelineStepSpec, ...]:
        """The steps of `pipeline` that stand in front of the estimator."""
        return self.pipeline[:-1] if self._ends_with_estimator else self.pipeline

    @property
    def final_step(self) -> str:
        """The name of the estimator among the steps of a `pipeline`."""
        return self.pipeline[-1].name if self._ends_with_estimator else ESTIMATOR_STEP

    def parameter_of(self, name: str) -> tuple[str, str]:
        """Return the step whose parameter a search varies under a name, and the parameter's name there."""
        step, below, rest = name.partition("__")
        steps = [*(front.name for front in self.front), self.final_step] if self.pipeline else []
        return (step, rest) if below and step in steps else (self.final_step, name)

    @property
    def _ends_with_estimator(self) -> bool:
        return any(final.path[0] == "pipeline" for final in self.finals)


class ProjectSpec(Spec):
    """The project file, `mf_project.yml` or `mf_project.toml`."""

    name: str = Field(pattern=NAME_PATTERN, description="Name of the project.")
    version: Annotated[
        str, Field(coerce_numbers_to_str=True), WithJsonSchema({"type": ["string", "number"]}, mode="validation")
    ] = Field("1.0", description="Version of the project, for its own bookkeeping.")
    description: str | None = Field(None, description="What the project is for.")
    family_paths: Names = Field(("families",), description="Folders that hold families.")
    source_paths: Names = Field(("sources",), description="Folders that hold sources.")
    target: str = Field("local", description="Target used when `--target` is not given.")
    vars: dict[str, Any] = Field({}, description="Values of `${var:NAME}` and `var('NAME')`; `--vars` overrides them.")
    defaults: dict[str, Any] = Field({}, description="Family keys that hold for every family of the project.")
    estimator_packages: Names = Field(
        ("sklearn",), description="Top-level packages that estimator classes may come from."
    )


class TargetSpec(Spec):
    """Where to run: an entry of `profiles.yml`."""

    model_config = ConfigDict(json_schema_extra=exclusive("remote", "master", needed=False))

    master: str = Field(
        "local[*]", description="Spark master URL: `local[*]`, `spark://…`, `yarn`, `k8s://…`; not beside `remote`."
    )
    remote: ConnectUrl | None = Field(None, description="URL of a Spark Connect server, such as `sc://host:15002`.")
    store: str = Field(
        "store",
        description="Folder or URL that holds models and manifests; a relative path starts at the project folder.",
    )
    conf: dict[str, Option] = Field({}, description="Spark configuration.")
    threads: Count = Field(1, description="How many families are built at once; `--threads` overrides it.")
    worker_memory: Memory | None = Field(
        None,
        description="Memory that each of Spark's Python workers may allocate, such as `2g`, on Linux: a fit that wants "
        "more fails with `MemoryError`, and costs its group alone. The libraries take some 300 MB of it.",
    )

    @property
    def address(self) -> str:
        """Where Spark is, without the parameters of a Spark Connect URL, which may be secret."""
        found = None if self.remote is None else _CONNECT_URL.fullmatch(self.remote)
        return self.master if found is None else found["address"]

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.remote is not None and "master" in self.model_fields_set:
            raise ValueError("`master` and `remote` exclude each other: a Spark Connect server has a master of its own")
        return self


class ProfilesSpec(Spec):
    """The file `profiles.yml`."""

    targets: dict[str, TargetSpec] = Field(description="Targets by name; `local` exists without any file.")


class MovedSpec(Spec):
    """One family that has another name now."""

    from_: str = Field(alias="from", pattern=NAME_PATTERN, description="Name it had.")
    to: str = Field(pattern=NAME_PATTERN, description="Name it has now.")


class FamiliesFileSpec(Spec):
    """Top level of a file in `family_paths` or `source_paths`."""

    families: list[dict[str, Any]] = Field([], description="Families.")
    sources: list[dict[str, Any]] = Field([], description="Sources.")
    moved: list[MovedSpec] = Field([], description="Families that were renamed: the new name keeps the versions.")


class SelectorSpec(Spec):
    """A named selector: one entry of `selectors`."""

    name: Written = Field(description="Name of the selector, for `--selector NAME` and `selector:NAME`.")
    description: str | None = Field(None, description="What the selector is for.")
    default: bool = Field(
        False, description="It holds where a command is given neither `--select`, `--exclude` nor `--selector`."
    )
    definition: Any = Field(description="What it chooses.")


class CriterionSpec(Spec):
    """A definition: what one method of selection chooses."""

    method: Written = Field(description="Method with its arguments, such as `tag` or `config.estimator.params.alpha`.")
    value: Option = Field(description="What to look for.")
    parents: bool = Field(False, description="Choose what it depends on, too.")
    parents_depth: Steps | None = Field(None, description="How many steps up to go; without it, all.")
    children: bool = Field(False, description="Choose what depends on it, too.")
    children_depth: Steps | None = Field(None, description="How many steps down to go; without it, all.")
    childrens_parents: bool = Field(
        False, description="Choose what depends on it, and all that these depend on; as `@` does."
    )
    childrens_parents_depth: Steps | None = Field(
        None, description="How many steps down to go for `childrens_parents`; without it, all."
    )
    exclude: list[Any] = Field([], description="Definitions of what to leave out.")

    @model_validator(mode="after")
    def _depths(self) -> Self:
        for key in ("parents", "children", "childrens_parents"):
            if getattr(self, f"{key}_depth") is not None and not getattr(self, key):
                raise ValueError(f"`{key}_depth` needs `{key}: true`")
        if self.children and self.childrens_parents:
            raise ValueError("`children` and `childrens_parents` exclude each other")
        return self


class UnionSpec(Spec):
    """A definition: what any of several definitions chooses."""

    union: list[Any] = Field(
        min_length=1, description="Definitions; one of the items may be `exclude` with a list of what to leave out."
    )


class IntersectionSpec(Spec):
    """A definition: what all of several definitions choose."""

    intersection: list[Any] = Field(
        min_length=1, description="Definitions; one of the items may be `exclude` with a list of what to leave out."
    )


class ExcludeSpec(Spec):
    """What a union or intersection leaves out."""

    exclude: list[Any] = Field(min_length=1, description="Definitions of what to leave out.")


class SelectorsFileSpec(Spec):
    """The file `selectors.yml`."""

    version: Literal[2] | None = Field(None, description="Means nothing; files of dbt have it.")
    selectors: list[dict[str, Any]] = Field(description="Named selectors.")
