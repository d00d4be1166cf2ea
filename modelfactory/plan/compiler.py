"""Compile families to the frozen steps that a build runs, and find what no single file shows to be wrong."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from modelfactory.diagnostics import Code, Diagnostic, Related, Severity, did_you_mean, nearest
from modelfactory.plan.canonical import call_fingerprint, meaning_of, without_environment
from modelfactory.plan.columns import INTERNAL_PREFIX
from modelfactory.plan.declaring import PREDICTION_RANGE, check_tests, declared_tests
from modelfactory.plan.estimators import candidates_of, hands_on, linear_solve, written_calls
from modelfactory.plan.fingerprint import fingerprint
from modelfactory.plan.meaning import fit_part
from modelfactory.plan.metrics import DEFAULT_METRICS, METRICS, Task
from modelfactory.plan.outcomes import GLOBAL, GROUP_COLUMNS, MODEL_COLUMNS
from modelfactory.plan.steps import (
    Candidate,
    Evaluation,
    Feature,
    FitStep,
    Plan,
    Search,
    SourceRead,
    TrainStep,
)
from modelfactory.project.classes import NO_DEFAULT, ClassFacts, ClassKind, nested_class
from modelfactory.project.graph import Graph
from modelfactory.project.loading import Family, Project
from modelfactory.project.parameters import check_class, check_varied
from modelfactory.project.positions import KeyPath
from modelfactory.project.queries import place_in_query
from modelfactory.project.specs import EstimatorSpec, EvaluateSpec, FamilySpec, SourceSpec
from modelfactory.project.variables import as_text, resolve_variables

if TYPE_CHECKING:
    from modelfactory.plan.rendering import SqlTemplateError


MOST_CANDIDATES = 100
"""Candidates of a search: each is fitted in every fold of every group."""


def compile_plan(
    project: Project, families: Iterable[Family], facts: Mapping[str, ClassFacts], environ: Mapping[str, str]
) -> tuple[Plan, list[Diagnostic]]:
    """Compile families, and those whose group tables they read.

    Args:
        project: the project they belong to.
        families: what to compile.
        facts: what is known of the classes they name, by the name as written.
        environ: the environment, for `env_var()` in conditions; its values do not enter the plan.

    Returns:
        The plan of the families that are right, in their order but each behind what it reads; and every mistake of the
        others, and warnings.
    """
    mistakes: list[Diagnostic] = []
    steps: dict[str, TrainStep] = {}
    reads = {name: source_read(source.spec) for name, source in project.sources.items()}
    by_name = {family.name: family for family in project.families}
    waiting = {family.name: family for family in families}
    seen: set[str] = set()
    while waiting:
        name, family = next(iter(waiting.items()))
        del waiting[name]
        seen.add(name)
        found, step = _FamilyCompiler(project, family, facts, reads, by_name, environ).compile()
        mistakes += found
        if step is not None:
            steps[name] = step
            waiting |= {ref: by_name[ref] for ref in step.refs if ref not in seen}
    mistakes += _circles(steps, by_name)
    defaults = {
        known.path: tuple((name, p.default) for name, p in known.parameters.items() if p.default not in NO_DEFAULT)
        for known in facts.values()
    }
    return Plan(tuple(_behind_what_they_read(steps).values()), defaults), [
        mistake.hiding(project.shown_as) for mistake in mistakes
    ]


def _circles(steps: Mapping[str, TrainStep], families: Mapping[str, Family]) -> Iterator[Diagnostic]:
    """Yield each circle of families that read each other or stand in for each other."""
    parents = {name: tuple(parent for parent in step.parents if parent in steps) for name, step in steps.items()}
    while circle := Graph(tuple(steps), parents).find_cycle():
        first, second = circle[:2]
        path = ("fallback",) if steps[first].fallback == second else (steps[first].input_key,)
        yield families[first].diagnostic(
            Code.CYCLE, f"families depend on each other in a circle: {' → '.join(circle)}", path
        )
        parents[first] = tuple(name for name in parents[first] if name != second)


def _behind_what_they_read(steps: Mapping[str, TrainStep]) -> dict[str, TrainStep]:
    """Order the steps that can be built, and give each the fingerprint of its parents."""
    ordered: dict[str, TrainStep | None] = {}

    def placed(name: str) -> TrainStep | None:
        if name in ordered:
            return ordered[name]
        ordered[name] = None  # what is met again on the way to itself is in a circle
        step = steps.get(name)
        parents = {ref: placed(ref) for ref in step.refs} if step else {}
        del ordered[name]
        if step and all(parents.values()):
            prints = {ref: (p.definition_fingerprint, p.parents_fingerprint) for ref, p in parents.items() if p}
            step = dataclasses.replace(step, parents_fingerprint=fingerprint(prints)) if prints else step
        else:
            step = None
        ordered[name] = step
        return step

    for name in steps:
        placed(name)
    return {name: step for name, step in ordered.items() if step is not None}


@dataclass(frozen=True, slots=True)
class _Read:
    """What a family's query selects from, what it reads, and its own SQL where it has some."""

    relation: str
    sources: tuple[SourceRead, ...]
    refs: tuple[str, ...] = ()
    sql: str | None = None


_INDEPENDENT = frozenset(
    {
        Code.UNKNOWN_PARAMETER,
        Code.BAD_PARAMETER,
        Code.UNKNOWN_CLASS,
        Code.UNKNOWN_METRIC,
        Code.UNKNOWN_SOURCE,
        Code.RESERVED_COLUMN,
        Code.BAD_SQL_TEMPLATE,
    }
)
"""Mistakes that do not follow from what is missing elsewhere in a family."""


def check_partial(project: Project, facts: Mapping[str, ClassFacts], environ: Mapping[str, str]) -> list[Diagnostic]:
    """Return the mistakes in what is left of families whose files are wrong, of those that stand by themselves."""
    _, mistakes = compile_plan(project, project.partial, facts, environ)
    return [mistake for mistake in mistakes if mistake.code in _INDEPENDENT]


class _FamilyCompiler:
    """Compiles one family; gathers its mistakes."""

    def __init__(
        self,
        project: Project,
        family: Family,
        facts: Mapping[str, ClassFacts],
        reads: Mapping[str, SourceRead],
        families: Mapping[str, Family],
        environ: Mapping[str, str],
    ) -> None:
        self.project = project
        self.family = family
        self.spec = family.spec
        self.facts = facts
        self.reads = reads
        self.families = families
        self.environ = environ
        self.mistakes: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []

    def compile(self) -> tuple[list[Diagnostic], TrainStep | None]:
        """Return mistakes and warnings, and the step if there are no mistakes."""
        if self.spec.name.lower() == GLOBAL:
            message = f"a family cannot be called `{self.spec.name}`: `fallback: {GLOBAL}` means the rows of all groups"
            self._mistake(Code.CONFLICT, message, ("name",))
        self._check_columns()
        self._check_fallback()
        for path, call in self._written_calls():
            self._check_call(path, call)
        self._check_steps()
        self._check_grids()
        read = self._relation()
        final = self._final()
        task = self._task(final) if final is not None else "unsupervised"
        found_before = len(self.mistakes)
        evaluation = self._evaluation(task) if final is not None else None
        if final is not None:
            self._check_tests(task, evaluation if len(self.mistakes) == found_before else None)
            self._check_search(task)
        candidates = self._candidates() if not self.mistakes and final is not None else []
        if self.mistakes or final is None or read is None:
            return self.mistakes + self.warnings, None
        return self.warnings, self._step(read, task, evaluation, candidates)

    def _step(
        self, read: _Read, task: Task, evaluation: Evaluation | None, candidates: Sequence[Candidate]
    ) -> TrainStep:
        spec = self.spec
        estimator, search = candidates[0].estimator, None
        if spec.search is not None:
            metric = spec.search.metric or DEFAULT_METRICS[task][0]
            search = Search(folds=spec.search.folds, metric=metric, candidates=tuple(candidates))
        categorical = any(f.kind == "categorical" for f in spec.features)
        frames = categorical or any(hands_on(candidate.estimator, self.facts) for candidate in candidates)
        # What solves many groups at once writes their pickles at once.
        at_once = spec.persistence == "pickle" and not frames and search is None
        time = spec.evaluate.by_time.column if spec.evaluate and spec.evaluate.by_time else None
        fit = FitStep(
            family=spec.name,
            task=task,
            features=tuple(Feature(f.name, f.kind) for f in spec.features),
            has_label=spec.label is not None,
            has_weight=spec.weight is not None,
            has_time=time is not None,
            estimator=estimator,
            weight_parameter=candidates[0].weight_parameter,
            container="frame" if frames else "matrix",
            linear_solve=linear_solve(estimator, len(spec.features)) if at_once else None,
            evaluation=evaluation,
            search=search,
            seed=spec.seed,
            timeout=spec.timeout,
            persistence=spec.persistence,
        )
        meaning = meaning_of(
            spec,
            self.facts,
            task=task,
            sql=read.sql,
            sources=read.sources,
            calls=written_calls(spec, self.facts),
        )
        return TrainStep(
            family=spec.name,
            relation=read.relation,
            where=spec.where,
            input_key=next(key for key in ("source", "sql", "sql_file") if getattr(spec, key) is not None),
            sources=read.sources,
            refs=read.refs,
            fallback=spec.fallback,
            keys=spec.group_by,
            label=spec.label,
            weight=spec.weight,
            time=time,
            fit=fit,
            min_rows=spec.min_rows,
            max_rows=spec.max_rows,
            on_too_many=spec.on_too_many,
            null_keys=spec.null_keys,
            on_vanished=spec.on_vanished,
            retrain_on=spec.retrain_on,
            max_failed_share=spec.max_failed.share,
            max_failed_count=spec.max_failed.count,
            tests=declared_tests(spec),
            meaning=without_environment(meaning, self._with_references(), self.environ),
            definition_fingerprint=fingerprint(meaning.models),
            fit_fingerprint=fingerprint(fit_part(meaning.models)),
            metadata_fingerprint=fingerprint(meaning.metadata),
        )

    def _with_references(self) -> Mapping[str, Any]:
        """Return the definition as it is written, its variables followed and the environment by reference."""
        definition = self.family.definition
        return resolve_variables(definition, self.project.variables) if "${var:" in str(definition) else definition

    # Columns ----------------------------------------------------------------------------------------------------

    def _check_columns(self) -> None:
        spec = self.spec
        for index, key in enumerate(spec.group_by):
            if key.lower() in (*GROUP_COLUMNS, *MODEL_COLUMNS):
                self._mistake(
                    Code.RESERVED_COLUMN,
                    f"group column `{key}` has the name of a column of the result",
                    ("group_by", index),
                    help=f"rename it in the input, for example `sql: select {key} as {key}_key, …`",
                )
        for path, name in self._named_columns():
            if name.lower().startswith(INTERNAL_PREFIX):
                self._mistake(Code.RESERVED_COLUMN, f"column names may not begin with `{INTERNAL_PREFIX}`", path)
        features = [feature.name for feature in spec.features]
        for index in _repeated(features):
            self._mistake(Code.CONFLICT, f"feature `{features[index]}` is listed twice", ("features", index))
        for index in _repeated(spec.group_by):
            self._mistake(Code.CONFLICT, f"group column `{spec.group_by[index]}` is listed twice", ("group_by", index))
        label = (spec.label or "").lower()
        for index, name in enumerate(features):
            if name.lower() == label:
                self._mistake(
                    Code.CONFLICT,
                    f"`{name}` is both a feature and the label",
                    ("features", index),
                    help="a model that is given its label learns nothing else",
                )
        for index, key in enumerate(spec.group_by):
            if key.lower() == label:
                self._mistake(Code.CONFLICT, f"`{key}` is both a group column and the label", ("group_by", index))

    def _named_columns(self) -> Iterator[tuple[KeyPath, str]]:
        spec = self.spec
        yield from ((("group_by", i), name) for i, name in enumerate(spec.group_by))
        yield from ((("features", i), feature.name) for i, feature in enumerate(spec.features))
        yield from (((key,), name) for key in ("label", "weight") if (name := getattr(spec, key)) is not None)
        if spec.evaluate is not None and spec.evaluate.by_time is not None:
            yield ("evaluate", "by_time", "column"), spec.evaluate.by_time.column

    # Input ------------------------------------------------------------------------------------------------------

    def _relation(self) -> _Read | None:
        """Return what the query selects from, and what that reads."""
        if self.spec.source is None:
            return None if self.family.query is None else self._rendered(self.family.query)
        if self.project.is_unknown(self.spec.source):
            near = did_you_mean(self.spec.source, list(self.reads))
            self._mistake(Code.UNKNOWN_SOURCE, f"unknown source `{self.spec.source}`", ("source",), help=near)
        read = self.reads.get(self.spec.source)
        return None if read is None else _Read(read.relation, (read,))

    def _rendered(self, query: str) -> _Read | None:
        from modelfactory.plan.rendering import SqlTemplateError, render_sql  # Jinja is for those who use it

        key = "sql" if self.spec.sql is not None else "sql_file"
        try:
            rendered = render_sql(
                query,
                relations={name: read.relation for name, read in self.reads.items()},
                families=self.families.keys(),
                variables=self.project.variables,
                environ=self.environ,
                target=self.project.target_name,
            )
        except SqlTemplateError as error:
            known = error.source is not None and not self.project.is_unknown(error.source)
            known = known or (error.family is not None and not self.project.is_unknown_family(error.family))
            if not known:  # what is declared with a mistake is told already
                self.mistakes.append(self._in_query(error, key))
            return None
        if not re.sub(r"--[^\n]*|/\*.*?\*/", "", rendered.text, flags=re.DOTALL).strip(" ;\n\t\r"):
            self._mistake(Code.BAD_SQL_TEMPLATE, f"`{key}` holds no query", (key,))
            return None
        # On lines of its own and unchanged: a comment may end it, and a text may span lines.
        sql = rendered.text.rstrip(";")
        return _Read(f"(\n{sql}\n)", tuple(self.reads[name] for name in rendered.sources), rendered.refs, sql)

    def _check_fallback(self) -> None:
        """Check that what stands in for this family is there, answers the same, and has groups made of whole ones."""
        name = self.spec.fallback
        if name is None or name == GLOBAL:
            return
        coarser = self.families.get(name)
        if coarser is None:
            if self.project.is_unknown_family(name):
                near = did_you_mean(name, [known for known in self.families if known != self.spec.name])
                self._mistake(Code.UNKNOWN_FAMILY, f"unknown family `{name}`", ("fallback",), help=near)
            return
        own = {key.lower() for key in self.spec.group_by}
        foreign = [key for key in coarser.spec.group_by if key.lower() not in own]
        if foreign:
            shown = ", ".join(f"`{key}`" for key in foreign)
            self.mistakes.append(
                self.family.diagnostic(
                    Code.CONFLICT,
                    f"family `{name}` cannot stand in: it is grouped by {shown}, and this one is not",
                    ("fallback",),
                    related=(Related(message=f"the groups of `{name}`", place=coarser.place(("group_by",))),),
                )
            )
        own_task, other_task = (_declared_task(spec, self.facts) for spec in (self.spec, coarser.spec))
        own_label, other_label = self.spec.label, coarser.spec.label
        if own_task is not None and other_task is not None and own_task != other_task:
            key = coarser.spec.finals[0].path
            self.mistakes.append(
                self.family.diagnostic(
                    Code.CONFLICT,
                    f"family `{name}` cannot stand in: it is {other_task}, and this one is {own_task}",
                    ("fallback",),
                    related=(Related(message=f"the estimator of `{name}`", place=coarser.place(key)),),
                )
            )
        elif own_label is not None and other_label is not None and own_label.lower() != other_label.lower():
            different = self.family.diagnostic(
                Code.CONFLICT,
                f"family `{name}`, which stands in, learns `{other_label}`, and this one learns `{own_label}`",
                ("fallback",),
                help="where both mean the same, call the columns the same in `sql`",
                related=(Related(message=f"the label of `{name}`", place=coarser.place(("label",))),),
            )
            self.warnings.append(dataclasses.replace(different, severity=Severity.WARNING))

    def _in_query(self, error: SqlTemplateError, key: str) -> Diagnostic:
        message = f"cannot render `{key}`: {error}"
        if error.line is None:
            return self.family.diagnostic(Code.BAD_SQL_TEMPLATE, message, (key,), help=error.help)
        place = place_in_query(self.family, self.project.root, error.line, error.word)
        if place is None:
            message = f"cannot render `{key}` (line {error.line} of the query): {error}"
        found = self.family.diagnostic(Code.BAD_SQL_TEMPLATE, message, (key,), help=error.help)
        return found if place is None else dataclasses.replace(found, place=place)

    # Estimator --------------------------------------------------------------------------------------------------

    def _written_calls(self) -> Iterator[tuple[KeyPath, EstimatorSpec]]:
        spec = self.spec
        if spec.estimator is not None:
            yield ("estimator",), spec.estimator
        if spec.search is not None:
            yield from ((("search", "estimators", i), call) for i, call in enumerate(spec.search.estimators))
        yield from ((("pipeline", i), step) for i, step in enumerate(spec.pipeline))
        for kind in ("numeric", "categorical"):
            for i, call in enumerate(getattr(spec.preprocess, kind, ())):
                yield ("preprocess", kind, i), call

    def _check_call(self, path: KeyPath, call: EstimatorSpec) -> None:
        for mistake in check_class(call.class_, call.params, self.facts, self.project.spec.estimator_packages):
            self._mistake(mistake.code, mistake.message, (*path, *mistake.path), key=mistake.key, help=mistake.help)

    def _check_steps(self) -> None:
        """Check the names of a pipeline's steps, and that all but the last can transform."""
        spec = self.spec
        names = [step.name for step in spec.pipeline]
        for index in _repeated([*(step.name for step in spec.front), spec.final_step] if spec.pipeline else []):
            place = ("pipeline", min(index, len(names) - 1), "name")
            self._mistake(Code.CONFLICT, "two steps of the pipeline have one name", place)
        for index, name in enumerate(names):
            if "__" in name or name in ("steps", "memory", "verbose", "transform_input"):
                self._mistake(
                    Code.CONFLICT, f"scikit-learn takes no step with the name `{name}`", ("pipeline", index, "name")
                )
        finals = {final.path for final in spec.finals}
        for path, call in self._written_calls():
            found = self.facts.get(call.class_)
            if path not in finals and found is not None and found.error is None and not found.transforms:
                message = f"{found.name} cannot stand in front of an estimator: it has no `transform`"
                last = path == ("pipeline", len(names) - 1) and spec.estimator is None
                hint = "of several estimators, write this one as `estimator`" if last else None
                self._mistake(Code.CONFLICT, message, (*path, "class"), help=hint)

    def _final(self) -> ClassFacts | None:
        found = self.facts.get(self.spec.finals[0].spec.class_)
        return None if found is None or found.error is not None else found

    def _task(self, final: ClassFacts) -> Task:
        spec = self.spec
        first = spec.finals[0]
        learns = _kind_of(first.spec.class_, first.spec.params, self.facts)
        task = _TASKS.get(learns, "unsupervised")
        if task != "unsupervised" and spec.label is None:
            self._mistake(Code.CONFLICT, f"{final.name} is a {learns} and needs a `label`", first.path)
        if task == "unsupervised" and spec.label is not None:
            self._mistake(Code.CONFLICT, f"{final.name} learns without a label", ("label",), help="leave `label` out")
        for other in spec.finals:
            found = self.facts.get(other.spec.class_)
            if spec.weight is not None and found is not None and found.error is None and not found.takes_weight:
                place: KeyPath = (*other.path, "class") if other.path[0] == "search" else ("weight",)
                self._mistake(Code.CONFLICT, f"{found.name} takes no sample weights", place)
        kinds = {feature.kind for feature in spec.features}
        if "categorical" in kinds and not spec.pipeline and not (spec.preprocess and spec.preprocess.categorical):
            index = next(i for i, f in enumerate(spec.features) if f.kind == "categorical")
            self._mistake(
                Code.CONFLICT,
                f"categorical feature `{spec.features[index].name}` needs a transformer",
                ("features", index),
                help="preprocess: {categorical: [{class: OneHotEncoder, params: {handle_unknown: ignore}}]}",
            )
        for kind in ("numeric", "categorical"):
            if getattr(spec.preprocess, kind, ()) and kind not in kinds:
                self._mistake(
                    Code.CONFLICT, f"there is no {kind} feature to preprocess", ("preprocess", kind), key=True
                )
        return task

    # Search -----------------------------------------------------------------------------------------------------

    def _check_grids(self) -> None:
        """Check the parameters that a search varies."""
        packages = self.project.spec.estimator_packages
        steps = {step.name: step for step in self.spec.front}
        for final in self.spec.finals:
            for name, values in final.grid.items():
                step, inner = self.spec.parameter_of(name)
                for m in check_varied(inner, values, steps.get(step, final.spec), self.facts, packages):
                    help = (None if m.path else self._of_step(name)) or m.help
                    self._mistake(m.code, m.message, (*final.grid_path, name, *m.path), key=m.key, help=help)

    def _of_step(self, name: str) -> str | None:
        """Say which step's parameter was perhaps meant by one that is not there."""
        step, below, rest = name.partition("__")
        steps = [front.name for front in self.spec.front]
        if step in steps:
            return None if below else f"the parameters of the step are `{step}__…`"
        near = nearest(step, steps) if below else None
        return f"did you mean `{near}__{rest}`?" if near else None

    def _check_search(self, task: Task) -> None:
        spec, search = self.spec, self.spec.search
        if search is None:
            return
        if task == "unsupervised":
            message = "`search` needs a label by which candidates can be measured"
            self._mistake(Code.CONFLICT, message, ("search",), key=True)
            return
        if search.metric is not None:
            self._check_metric(search.metric, task, ("search", "metric"))
        if search.params and all(final.path[0] == "search" for final in spec.finals):
            message = "`params` of a search are those of `estimator`, and there is none"
            hint = "in `estimators`, write {class: …, search: {…}}"
            self._mistake(Code.CONFLICT, message, ("search", "params"), key=True, help=hint)
        for final in spec.finals[1:]:
            found = self.facts.get(final.spec.class_)
            if found is None or found.error is not None:
                continue
            other = _TASKS.get(_kind_of(final.spec.class_, final.spec.params, self.facts), "unsupervised")
            if other != task:
                message = f"{found.name} is {other}, and the first estimator of the search is {task}"
                self._mistake(Code.CONFLICT, message, (*final.path, "class"))

    def _candidates(self) -> list[Candidate]:
        """Return the candidates, which are one where there is no search, if they are not too many and all different."""
        count = sum(math.prod(map(len, final.grid.values())) for final in self.spec.finals)
        if count > MOST_CANDIDATES:
            message = f"`search` has {count:,} candidates, and at most {MOST_CANDIDATES} are compared"
            self._mistake(Code.BAD_VALUE, message, ("search",), key=True, help="give fewer values, or fewer parameters")
            return []
        found = candidates_of(self.spec, self.facts)
        seen: dict[str, str] = {}  # names and what they make, to names
        for final, candidates in found:
            mistakes = []
            for candidate in candidates:
                name, makes = candidate.name, call_fingerprint(candidate.estimator, self.facts)
                before = name if name in seen else seen.get(makes)
                if before is not None:
                    other = "" if before == name else f", as `{before}` before"
                    mistakes.append(f"candidate `{name}` of the search is there twice{other}")
                seen |= {name: name, makes: seen.get(makes, name)}
            if mistakes:
                self._mistake(Code.CONFLICT, mistakes[0], final.grid_path if final.grid else final.path)
        return [candidate for _, candidates in found for candidate in candidates]

    # Evaluation -------------------------------------------------------------------------------------------------

    def _evaluation(self, task: Task) -> Evaluation | None:
        written = self.spec.evaluate
        if written is None:
            return None
        if task == "unsupervised":
            self._mistake(Code.CONFLICT, "`evaluate` needs a label to measure against", ("evaluate",), key=True)
            return None
        for index, name in enumerate(written.metrics):
            self._check_metric(name, task, ("evaluate", "metrics", index))
        for index in _repeated(written.metrics):
            message = f"metric `{written.metrics[index]}` is listed twice"
            self._mistake(Code.CONFLICT, message, ("evaluate", "metrics", index))
        method, share = _method(written)
        return Evaluation(
            method=method,
            share=share,
            folds=written.folds or 0,
            metrics=written.metrics or DEFAULT_METRICS[task],
            refit=written.refit,
            predictions=any(test.kind == PREDICTION_RANGE for test in self.spec.tests),
        )

    def _check_metric(self, name: str, task: Task, path: KeyPath) -> None:
        known = [n for n, metric in METRICS.items() if metric.task == task]
        if name not in METRICS:
            self._mistake(Code.UNKNOWN_METRIC, f"unknown metric `{name}`", path, help=did_you_mean(name, known))
        elif name not in known:
            self._mistake(
                Code.UNKNOWN_METRIC,
                f"metric `{name}` measures {METRICS[name].task}, and this is {task}",
                path,
                help=f"known: {', '.join(f'`{n}`' for n in known)}",
            )

    # Tests ------------------------------------------------------------------------------------------------------

    def _check_tests(self, task: Task, evaluation: Evaluation | None) -> None:
        for wrong in check_tests(self.spec, task, evaluation, self.facts):
            self._mistake(wrong.code, wrong.message, wrong.path, key=wrong.key, help=wrong.help)

    def _mistake(
        self,
        code: Code,
        message: str,
        path: KeyPath,
        *,
        key: bool = False,
        help: str | None = None,
    ) -> None:
        self.mistakes.append(self.family.diagnostic(code, message, path, key=key, help=help))


_TASKS: Mapping[ClassKind, Task] = MappingProxyType({"regressor": "regression", "classifier": "classification"})
"""What kind of model a class gives; of the others, one that learns without a label."""


def _declared_task(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> Task | None:
    """Return what kind of models a family has; None where its class is not known."""
    call = spec.finals[0].spec
    found = facts.get(call.class_)
    if found is None or found.error is not None:
        return None
    return _TASKS.get(_kind_of(call.class_, call.params, facts), "unsupervised")


def _kind_of(name: str, params: Mapping[str, Any], facts: Mapping[str, ClassFacts]) -> ClassKind:
    """Return what a class is for; a search, or another that predicts by one it is given, is what that one is."""
    found = facts.get(name, ClassFacts(name, "unsupervised"))
    inner = params.get("estimator")
    if isinstance(params.get("steps"), list) and params["steps"]:  # of a pipeline: the last one predicts
        last = params["steps"][-1]
        inner = last[-1] if isinstance(last, list) and last else None
    nested = nested_class(inner)
    if found.kind in ("regressor", "classifier") or "predict" not in found.methods or nested is None:
        return found.kind
    return _kind_of(nested, inner.get("params") or {}, facts) if isinstance(inner, dict) else found.kind


def _repeated(names: Sequence[str]) -> list[int]:
    """Return the indexes of names that stand before, upper and lower case being the same, as for Spark."""
    folded = [name.lower() for name in names]
    return [index for index, name in enumerate(folded) if name in folded[:index]]


def _method(written: EvaluateSpec) -> tuple[Literal["holdout", "by_time", "folds"], float]:
    if written.holdout is not None:
        return "holdout", written.holdout
    if written.by_time is not None:
        return "by_time", written.by_time.last
    return "folds", 0.0


def source_read(spec: SourceSpec) -> SourceRead:
    """Return how Spark reads a source."""
    return SourceRead(
        name=spec.name,
        path=spec.path,
        table=spec.table,
        format=spec.format,
        options=tuple(sorted((k, as_text(v)) for k, v in spec.options.items())),
        columns=tuple((column.name, column.type) for column in spec.columns),
    )
