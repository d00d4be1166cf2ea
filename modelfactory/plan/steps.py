"""The plan: one frozen `TrainStep` per family. Workers import this module, so it needs the standard library only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelfactory.plan.meaning import Meaning
from modelfactory.plan.metrics import METRICS, RANGE, Task
from modelfactory.plan.outcomes import GLOBAL

_SQL_WORDS = """
all and anti any as asc between by case cast create cross current_date current_timestamp desc distinct else end
escape except exists false filter for from full group having in inner intersect interval into is join lateral
left like limit minus natural not null on or order outer over primary right select semi set some table then to
true union unique user using values when where window with
"""


GLOBAL_ROWS = 100_000
"""About the most rows that a global model is fitted on. They go to one task, which should not be the longest of a build
that may have billions of rows; and they are enough for one model that knows no groups: a sample of so many tells a mean
to within 0.3 % of the spread."""
BEATS_CURRENT = "beats_current"
"""The test that compares with the current version."""
VIEW_PREFIX, GROUPS_PREFIX = "mf_source_", "mf_groups_"
"""Names of the views on sources and on group tables begin with them."""


Persistence = Literal["pickle", "skops"]
"""By what models are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorCall:
    """A class and the arguments to make an estimator of it.

    Attributes:
        path: dotted path of the class.
        params: keyword arguments in the order of their names; a value may hold further calls.
    """

    path: str
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Bare class name."""
        return self.path.rpartition(".")[2]

    @property
    def final(self) -> EstimatorCall:
        """The call that predicts: the last step of a pipeline, or else this one."""
        steps = dict(self.params).get("steps") if self.name == "Pipeline" else None
        last: EstimatorCall = steps[-1][1] if steps else self
        return last

    def calls(self) -> Iterator[EstimatorCall]:
        """Yield this call and every call inside its arguments."""
        yield self
        for _, value in self.params:
            yield from _calls_in(value)

    def text(self) -> str:
        """Write the call as Python."""
        return f"{self.name}({', '.join(f'{key}={shown(value)}' for key, value in self.params)})"


@dataclass(frozen=True, slots=True)
class Feature:
    """An input column and how it travels: `numeric` as double, `categorical` as string."""

    name: str
    kind: Literal["numeric", "categorical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How the models of a family are measured.

    Attributes:
        method: `holdout` by a hash of each row, `by_time` on the latest rows, or `folds`.
        share: share of rows to measure on; not used by `folds`.
        folds: number of folds; used by `folds` only.
        metrics: names out of `plan.metrics.METRICS`.
        refit: fit again on all rows after measuring.
        predictions: measure the least and the greatest prediction, `RANGE`, beside the metrics.
    """

    method: Literal["holdout", "by_time", "folds"]
    share: float = 0.0
    folds: int = 0
    metrics: tuple[str, ...] = ()
    refit: bool = False
    predictions: bool = False

    @property
    def measured(self) -> tuple[str, ...]:
        """All that is measured of a model, by name."""
        return (*self.metrics, *(RANGE if self.predictions else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTest:
    """What must hold of a version before it is published.

    Attributes:
        kind: name of the test, a key of `testing.registry.REGISTRY`.
        name: what it is called where its result is told.
        severity: whether a version that fails is held back, or only told.
        parameters: the test's own, by name, all of them.
    """

    kind: str
    name: str
    severity: Literal["warn", "error"]
    parameters: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, parameter: str) -> Any:
        """Return a parameter."""
        return dict(self.parameters)[parameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """How new models are compared with those of the current version, the champions, on rows that neither has seen.

    Attributes:
        metric: what decides.
        tolerance: share of the champion's metric by which a new model may be worse and still does not lose.
        per_group: whether the champion stands in a group where the new model loses.
    """

    metric: str
    tolerance: float = 0.0
    per_group: bool = False

    def is_worse(self, new: Any, champion: Any) -> Any:
        """Tell whether a new model loses against a champion.

        Args:
            new: the metric of the new model, or an array of them.
            champion: that of the champion.
        """
        room = self.tolerance * abs(champion)
        return new < champion - room if METRICS[self.metric].higher_is_better else new > champion + room


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSolve:
    """How the groups of a linear family are solved many at once.

    Attributes:
        standardize: a `StandardScaler` stands before the linear model.
        alpha: strength of the penalty of `Ridge`; None for `LinearRegression`.
        fit_intercept: whether the model has an intercept.
        least_ratio: least singular value of the centred features over the largest, below which scikit-learn itself
            fits the group.
    """

    standardize: bool
    alpha: float | None
    fit_intercept: bool
    least_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An estimator that may be fitted in a group.

    Attributes:
        name: it as text, which no other candidate of the family has.
        estimator: the call that makes it, with what stands in front of it.
        weight_parameter: name of the fit parameter that takes the weights.
    """

    name: str
    estimator: EstimatorCall
    weight_parameter: str = "sample_weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How the estimator of each group is chosen.

    Attributes:
        folds: folds of the rows to fit on, on which every candidate is measured.
        metric: name out of `plan.metrics.METRICS` by which they are compared.
        candidates: at least one, in the order of the definition.
    """

    folds: int
    metric: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitStep:
    """All that a worker needs to fit the groups of a family.

    Attributes:
        family: name of the family.
        task: what kind of model it is.
        features: in the order of the matrix' columns.
        has_label: whether a label travels.
        has_weight: whether sample weights travel.
        has_time: whether a time column travels, for `by_time`.
        estimator: the estimator to fit in every group; where there is a search, the first of its candidates.
        weight_parameter: name of the fit parameter that takes the weights.
        container: `matrix` if the estimator is fitted from a NumPy matrix, `frame` if from a pandas DataFrame.
        linear_solve: how to solve many groups at once; None where each is fitted by a call of its own.
        evaluation: how to measure; None to fit on all rows without measuring.
        search: how the estimator is chosen in every group; None where it is the same in all.
        seed: seed of the family.
        timeout: seconds for one group, or None.
        persistence: by what the models are written.
    """

    family: str
    task: Task
    features: tuple[Feature, ...]
    has_label: bool
    has_weight: bool
    has_time: bool
    estimator: EstimatorCall
    weight_parameter: str = "sample_weight"
    container: Literal["matrix", "frame"]
    linear_solve: LinearSolve | None = None
    evaluation: Evaluation | None
    search: Search | None = None
    seed: int
    timeout: float | None
    persistence: Persistence = "pickle"

    @property
    def all_numeric(self) -> bool:
        """Whether all features travel as double."""
        return all(feature.kind == "numeric" for feature in self.features)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The estimators of which one is fitted in every group."""
        if self.search is not None:
            return self.search.candidates
        name, weight = self.estimator.text(), self.weight_parameter
        return (Candidate(name=name, estimator=self.estimator, weight_parameter=weight),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRead:
    """How Spark reads one source; texts may refer to the environment until they are used.

    Attributes:
        name: name of the source.
        path: path, relative to the project, or URL; None for a catalog table.
        table: name of a catalog table, or None.
        format: format of `path`.
        options: options of the reader.
        columns: promised columns and their Spark SQL types; None where the type is left open.
    """

    name: str
    path: str | None
    table: str | None
    format: str
    options: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str | None], ...]

    @property
    def texts(self) -> list[str]:
        """All texts that Spark gets with the environment's values in them."""
        return [text for text in (self.path, self.table, self.format, *(v for _, v in self.options)) if text]

    @property
    def relation(self) -> str:
        """What SQL selects from: the table, or a view under a name that hides no table."""
        if self.table is None:
            return f"{VIEW_PREFIX}{self.name}"
        return self.table if "${env:" in self.table else ".".join(quoted(part) for part in self.table.split("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One family's part of the plan.

    Attributes:
        family: name of the family.
        relation: what the query selects from: a source's view or table, or the rendered `sql` in parentheses.
        where: predicate on the input, if any.
        input_key: key of the definition that names the input: `source`, `sql` or `sql_file`.
        sources: what the query reads.
        refs: families whose group tables the query reads.
        fallback: family whose models stand in for groups that have none, or `GLOBAL`, if any.
        keys: group columns.
        label: label column, if any.
        weight: weight column, if any.
        time: time column of `by_time`, if any.
        fit: what the workers do.
        min_rows: fewest usable rows of a group that is trained.
        max_rows: most usable rows of a group that is trained, or None.
        on_too_many: what becomes of groups with more: skipped, or fitted on a sample of `max_rows` rows.
        null_keys: what becomes of groups with a null in a key.
        on_vanished: what becomes of the models of groups that the input does not have any more.
        retrain_on: what else than rows and definition is a reason to train a group again.
        max_failed_share: share of tried groups that may fail, or None where a count is given.
        max_failed_count: count of groups that may fail, or None where a share is given.
        tests: what must hold of a version before it is published.
        meaning: what its definition means, however it is written; the environment by reference.
        definition_fingerprint: hash of all that decides the models, values of the environment included.
        fit_fingerprint: the same without what decides which rows and groups there are: two families that share it make
            the same model of the same rows.
        metadata_fingerprint: hash of what is told of the family.
        parents_fingerprint: hash of the definitions of the families whose group tables it reads, and of theirs; empty
            text if there are none.
    """

    family: str
    relation: str
    where: str | None
    input_key: str
    sources: tuple[SourceRead, ...]
    refs: tuple[str, ...] = ()
    fallback: str | None = None
    keys: tuple[str, ...]
    label: str | None
    weight: str | None
    time: str | None
    fit: FitStep
    min_rows: int
    max_rows: int | None
    on_too_many: Literal["skip", "sample"]
    null_keys: Literal["skip", "error", "group"]
    on_vanished: Literal["keep", "retire"] = "keep"
    retrain_on: tuple[Literal["environment"], ...] = ()
    max_failed_share: float | None
    max_failed_count: int | None
    meaning: Meaning
    definition_fingerprint: str
    fit_fingerprint: str
    metadata_fingerprint: str
    parents_fingerprint: str = ""
    tests: tuple[DeclaredTest, ...] = ()

    @property
    def champion_test(self) -> DeclaredTest | None:
        """The test that compares with the current version, for which its models are measured too."""
        return next((test for test in self.tests if test.kind == BEATS_CURRENT), None)

    @property
    def contest(self) -> Contest | None:
        """How new models are compared with those of the current version, if a test asks for that."""
        test = self.champion_test
        if test is None:
            return None
        return Contest(metric=test["metric"], tolerance=test["tolerance"], per_group=test["per_group"])

    @property
    def parents(self) -> tuple[str, ...]:
        """The families that it depends on: those it reads, and the one that stands in for it."""
        return (*self.refs, *([self.fallback] if self.fallback is not None and not self.has_global_model else []))

    @property
    def has_global_model(self) -> bool:
        """Whether one model more is fitted, on the rows of all groups."""
        return self.fallback == GLOBAL

    @property
    def global_rows(self) -> int:
        """About the most rows that the global model is fitted on."""
        return min(GLOBAL_ROWS, self.max_rows or GLOBAL_ROWS)

    @property
    def input_path(self) -> tuple[str, ...]:
        """Where in the definition it is written which rows there are."""
        return ("where",) if self.where is not None else (self.input_key,)

    @property
    def texts_for_spark(self) -> str:
        """All texts of the step that Spark gets with the environment's values in them."""
        return " ".join([self.whole_input, *(text for source in self.sources for text in source.texts)])

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the training needs, each once."""
        features = (feature.name for feature in self.fit.features)
        others = (name for name in (self.label, self.weight, self.time) if name is not None)
        return tuple(dict.fromkeys([*self.keys, *features, *others]))

    @property
    def query(self) -> str:
        """Spark SQL that gives the needed columns of the input."""
        return self._select(", ".join(quoted(name) for name in self.columns))

    @property
    def whole_input(self) -> str:
        """Spark SQL that gives the input with all its columns."""
        return self._select("*")

    def _select(self, columns: str) -> str:
        lines = [f"select {columns}", f"from {self.relation}"]
        if self.where is not None:
            lines.append(f"where {self.where}")
        return "\n".join(lines)

    @property
    def counted_with(self) -> tuple[Any, ...]:
        """What two steps have in common whose groups can be counted by one census."""
        return (self.relation, self.where, self.keys)

    def samples(self, n_usable: Any) -> Any:
        """Tell which groups are fitted on a sample of their rows.

        Args:
            n_usable: usable rows of each group, an array of shape (g,).
        """
        most = self.max_rows if self.on_too_many == "sample" else None
        return n_usable > (math.inf if most is None else most)

    def failures_allowed(self, tried: int) -> int:
        """Return how many of `tried` groups may fail in a version that is published."""
        return most_lost(self.max_failed_share, self.max_failed_count, of=tried)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build will do, in order.

    Attributes:
        steps: one for each family.
        defaults: by class path, the parameters that the plan leaves at their defaults may take these, as text.
    """

    steps: tuple[TrainStep, ...]
    defaults: Mapping[str, tuple[tuple[str, str], ...]]


def most_lost(share: float | None, count: int | None, *, of: int) -> int:
    """Return how many of some groups may be lost, by a share of them or a count."""
    if count is not None:
        return count
    return math.floor((share or 0.0) * of + 1e-9)  # 29 % of 100 is 29, also in binary


def groups_relation(family: str) -> str:
    """Return what SQL selects from to read a family's current group table."""
    return f"{GROUPS_PREFIX}{family}"


def quoted(name: str) -> str:
    """Write a column name as a Spark SQL identifier, in backticks only where it needs them."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _SQL_WORDS.split():
        return name
    return "`" + name.replace("`", "``") + "`"


def _calls_in(value: Any) -> Iterator[EstimatorCall]:
    match value:
        case EstimatorCall():
            yield from value.calls()
        case list() | tuple():
            for item in value:
                yield from _calls_in(item)
        case dict():
            yield from _calls_in(list(value.values()))


def shown(value: Any) -> str:
    """Write an argument as Python."""
    match value:
        case EstimatorCall():
            return value.text()
        case list():
            return f"[{', '.join(shown(v) for v in value)}]"
        case tuple():
            return f"({', '.join(shown(v) for v in value)}{',' if len(value) == 1 else ''})"
        case dict():
            return f"{{{', '.join(f'{k!r}: {shown(v)}' for k, v in value.items())}}}"
        case _:
            return repr(value)
