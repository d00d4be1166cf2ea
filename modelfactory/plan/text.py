"""The plan as text for people: what `mf compile` prints, what reviews compare and what snapshot tests hold."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from modelfactory.plan.metrics import METRICS
from modelfactory.plan.steps import DeclaredTest, EstimatorCall, Evaluation, FitStep, Plan, Search, TrainStep

WIDTH = 110


def plan_text(plan: Plan) -> str:
    """Write a plan as text."""
    return "\n\n".join("\n".join(_step_lines(step, plan.defaults)) for step in plan.steps)


def _step_lines(step: TrainStep, defaults: Mapping[str, tuple[tuple[str, str], ...]]) -> Iterator[str]:
    yield f"family {step.family}"
    yield "  input"
    yield from (f"    {line}" for line in step.query.splitlines())
    for source in step.sources:
        options = "".join(f" {key}={value}" for key, value in source.options)
        what = f"table {source.table}" if source.table else f"{source.format} {source.path}"
        yield f"    source {source.name}: {what}{options}"
    yield "  columns that travel"
    yield from _column_lines(step)
    yield f"  estimator, {_path_text(step.fit)}"
    yield from (f"    {line}" for line in _estimator_lines(step.fit.estimator, defaults))
    if step.fit.search is not None:
        yield "  search"
        yield from _search_lines(step.fit.search, defaults)
    yield "  evaluation"
    yield from _wrapped(_evaluation_text(step.fit.evaluation, step.time))
    yield "  groups"
    yield from _wrapped(_limits_text(step))
    if step.fallback is not None:
        yield "  fallback"
        yield from _wrapped(_fallback_text(step))
    if step.tests:
        yield "  tests before publishing"
        for test in step.tests:
            yield from _wrapped(_test_text(test))
    yield "  result"
    yield from _wrapped(
        f"group table: {', '.join(step.keys)}, status string, n_rows bigint, n_train bigint, n_test bigint, "
        "metrics map<string,double>, baseline map<string,double>, fit_seconds double, cpu_seconds double, "
        "model_version int, model_bytes bigint, model_sha256 string, data_digest string, error_type string, "
        "error string, warnings array<string>, reason string, champion map<string,double>, chosen string, "
        "candidates map<string,double>"
    )
    yield from _wrapped(
        f"model table: {', '.join(step.keys)}, model binary, format string, sha256 string, outcome struct"
        + ("; written by skops" if step.fit.persistence == "skops" else "")
    )
    yield f"  fingerprint {step.definition_fingerprint[:16]}"


def _path_text(fit: FitStep) -> str:
    of_search = "the first candidate, " if fit.search is not None else ""
    if fit.linear_solve is not None:
        return "many groups solved at once; scikit-learn fits those that are ill-conditioned"
    container = "NumPy matrix" if fit.container == "matrix" else "pandas DataFrame"
    return f"{of_search}fitted from a {container} of each group"


def _column_lines(step: TrainStep) -> Iterator[str]:
    label_type = "double" if step.fit.task == "regression" else "own type: string, bigint, boolean or double"
    rows = [(key, "group key", "own type") for key in step.keys]
    rows += [(f.name, f"{f.kind} feature", "double" if f.kind == "numeric" else "string") for f in step.fit.features]
    rows += [(name, "label", label_type) for name in (step.label,) if name is not None]
    rows += [(name, "weight", "double") for name in (step.weight,) if name is not None]
    rows += [(name, "time", "double") for name in (step.time,) if name is not None]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for name, role, kind in rows:
        yield f"    {name:<{widths[0]}}  {role:<{widths[1]}}  {kind}"


def _estimator_lines(
    call: EstimatorCall, defaults: Mapping[str, tuple[tuple[str, str], ...]], name: str = ""
) -> Iterator[str]:
    head = f"{name}: " if name else ""
    params = dict(call.params)
    if call.name == "Pipeline" and "steps" in params:
        yield f"{head}Pipeline"
        for step_name, step in params["steps"]:
            yield from (f"  {line}" for line in _estimator_lines(step, defaults, step_name))
        return
    if call.name == "ColumnTransformer" and _is_compiled(params):
        yield f"{head}ColumnTransformer"
        for kind, step, columns in params["transformers"]:
            title = f"{kind} [{', '.join(columns)}]"
            if isinstance(step, EstimatorCall):
                yield from (f"  {line}" for line in _estimator_lines(step, defaults, title))
            else:
                yield f"  {title}: {step}"
        return
    yield f"{head}{call.text()}"
    left = [f"{key}={value}" for key, value in defaults.get(call.path, ()) if key not in params]
    if left:
        yield from textwrap.wrap(
            "defaults: " + ", ".join(left), WIDTH - 12, initial_indent="  ", subsequent_indent="    "
        )


def _search_lines(search: Search, defaults: Mapping[str, tuple[tuple[str, str], ...]]) -> Iterator[str]:
    """Yield how candidates are compared, and each of them, in the order in which equals win."""
    best = "highest" if METRICS[search.metric].higher_is_better else "lowest"
    yield from _wrapped(
        f"each group keeps the candidate of {len(search.candidates)} with the {best} mean {search.metric} on "
        f"{search.folds} folds of the rows to fit on, by a hash of each row; of equals the cheapest, then the first"
    )
    told: set[str] = set()
    for candidate in search.candidates:
        yield f"    {candidate.name}"
        final = candidate.estimator.final
        if told and final.path not in told:
            yield from (f"    {line}" for line in list(_estimator_lines(final, defaults))[1:])
        told.add(final.path)


def _is_compiled(params: Mapping[str, Any]) -> bool:
    return params.keys() == {"transformers"} and all(isinstance(item, tuple) for item in params["transformers"])


def _evaluation_text(evaluation: Evaluation | None, time: str | None) -> str:
    if evaluation is None:
        return "none: fitted on all rows, no metrics"
    how = {
        "holdout": f"{evaluation.share * 100:g}% of the rows of each group, chosen by a hash of each row",
        "by_time": f"the latest {evaluation.share * 100:g}% of the rows of each group by {time}",
        "folds": f"{evaluation.folds} folds by a hash of each row; the stored model is fitted on all rows",
    }[evaluation.method]
    again = "; fitted again on all rows" if evaluation.refit else ""
    return f"{', '.join(evaluation.metrics)} and the baseline, measured on {how}{again}"


def _test_text(test: DeclaredTest) -> str:
    named = f" as {test.name}" if not test.name.startswith(test.kind) else ""
    given = ", ".join(f"{key} {_parameter_text(value)}" for key, value in test.parameters if value is not None)
    told = f"{test.kind}{named}: {given}" if given else f"{test.kind}{named}"
    return told + ("; only warns" if test.severity == "warn" else "")


def _parameter_text(value: Any) -> str:
    match value:
        case tuple():  # a budget: one of its parts is given
            share, count = (dict(value)[key] for key in ("share", "count"))
            return f"{count:,}" if share is None else f"{share * 100:g}%"
        case bool():
            return str(value).lower()
        case _:
            return " ".join(str(value).split())


def _fallback_text(step: TrainStep) -> str:
    if not step.has_global_model:
        return f"the models of family {step.fallback} answer where a group has none"
    which = "of the same estimator" if step.fit.search is None else "chosen by the same search"
    return (
        f"one model {which} on the rows of all groups answers where a group has none; of more than "
        f"{step.global_rows:,} rows it is fitted on about so many, chosen by a hash of each row"
    )


def _limits_text(step: TrainStep) -> str:
    if step.max_rows is None or step.on_too_many == "sample":
        least = f"at least {step.min_rows:,} row{'s' * (step.min_rows > 1)}"
    else:
        least = f"{step.min_rows:,} to {step.max_rows:,} rows"
    if step.max_rows is not None and step.on_too_many == "sample":
        least += f", of which {step.max_rows:,} are sampled where there are more"
    nulls = {"skip": "null keys skipped", "error": "null keys are an error", "group": "null keys are a group"}
    if step.max_failed_count is not None:
        budget = f"at most {step.max_failed_count:,} may fail"
    else:
        budget = f"at most {(step.max_failed_share or 0) * 100:g}% may fail"
    timeout = f", at most {step.fit.timeout:g} s each" if step.fit.timeout is not None else ""
    return f"by {', '.join(step.keys)}; {least}{timeout}; {nulls[step.null_keys]}; {budget}; seed {step.fit.seed}"


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="      ")
