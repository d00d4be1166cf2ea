"""Write docs/reference.md from the specs, the enumerations and the commands, so that it cannot lag behind the code.

`python docs/generate.py` writes the file; `python docs/generate.py --check` exits 1 if the file is stale.
"""

from __future__ import annotations

import enum
import inspect
import json
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import typer
from pydantic.fields import FieldInfo

from modelfactory.cli.app import app
from modelfactory.cli.options import PROJECT
from modelfactory.commands.resolving import OriginKind
from modelfactory.diagnostics import Code
from modelfactory.explanations import EXPLANATIONS
from modelfactory.plan.metrics import DEFAULT_METRICS, METRICS
from modelfactory.plan.outcomes import FAULTS, GROUP_COLUMNS, SERVED, Status
from modelfactory.project import spec_types, specs, test_specs

REFERENCE = Path(__file__).with_name("reference.md")

HEAD = """\
# Reference

<!-- Written by docs/generate.py; change the code's own descriptions and run `make docs`. -->

Project files may be YAML or TOML; the keys and the checks are the same. An unknown key is an error.
[Concepts](concepts.md) explains the words.
"""

SPECS: tuple[tuple[type[specs.Spec], str, str], ...] = (
    (specs.ProjectSpec, "Project file", "`mf_project.yml` or `mf_project.toml`, at the top of a project."),
    (
        specs.ProfilesSpec,
        "Profiles",
        "`profiles.yml` or `profiles.toml`: of `--profiles-dir`, else beside the project file, else in `~/.mf`.",
    ),
    (specs.TargetSpec, "Target", "Where to run: one entry of `targets`."),
    (
        specs.FamiliesFileSpec,
        "Definition file",
        "Every YAML or TOML file in and below `family_paths` and `source_paths`. A file named `_defaults` holds family "
        "keys instead, for all families in its folder and below.",
    ),
    (specs.SourceSpec, "Source", "One entry of `sources`."),
    (specs.ColumnSpec, "Source column", "One entry of a source's `columns`; a name alone promises that it exists."),
    (
        specs.FamilySpec,
        "Family",
        "One entry of `families`. `tags` and `meta` of the family, of its folders' `_defaults` and of the project's "
        "`defaults` are put together; of every other key the nearest value wins.",
    ),
    (specs.MovedSpec, "Moved family", "One entry of `moved`."),
    (specs.FeatureSpec, "Feature", "One entry of `features`; a name alone is a numeric feature."),
    (specs.EstimatorSpec, "Estimator", "A class and its parameters; a class without parameters may be its name alone."),
    (specs.PipelineStepSpec, "Pipeline step", "One entry of `pipeline`."),
    (specs.SearchSpec, "Search", "The value of `search`; see [search](search.md)."),
    (
        specs.SearchedEstimatorSpec,
        "Searched estimator",
        "One entry of `search.estimators`; a class without parameters may be its name alone.",
    ),
    (specs.PreprocessSpec, "Preprocessing", "Transformers in front of the estimator."),
    (specs.EvaluateSpec, "Evaluation", "Exactly one of `holdout`, `by_time` and `folds`, and what to measure."),
    (specs.ByTimeSpec, "Evaluation by time", "The value of `by_time`."),
    (specs.FailureBudgetSpec, "Failure budget", "What `max_failed: 1%` and `max_failed: 3` are short for."),
    (
        specs.TestSpec,
        "Test",
        "One entry of `tests`: one of these keys, or one of those that need no parameters as a name alone. "
        "[Tests](tests.md) has an example of each.",
    ),
    (test_specs.CoverageSpec, "Coverage test", "The parameters of `coverage`."),
    (test_specs.MetricTestSpec, "Metric test", "The parameters of `metric`."),
    (test_specs.BeatsBaselineSpec, "Baseline test", "The parameters of `beats_baseline`."),
    (test_specs.BeatsCurrentSpec, "Champion test", "The parameters of `beats_current`."),
    (test_specs.NoLostGroupsSpec, "Lost groups test", "The parameters of `no_lost_groups`."),
    (test_specs.MaxModelBytesSpec, "Model size test", "The parameters of `max_model_bytes`."),
    (test_specs.FiniteParametersSpec, "Finite parameters test", "The parameters of `finite_parameters`."),
    (test_specs.PredictionRangeSpec, "Prediction range test", "The parameters of `prediction_range`."),
    (test_specs.CoefficientSignSpec, "Coefficient sign test", "The parameters of `coefficient_sign`."),
    (test_specs.StableMetricsSpec, "Stable metrics test", "The parameters of `stable_metrics`."),
    (test_specs.SqlTestSpec, "SQL test", "The parameters of `sql`."),
    (
        specs.SelectorsFileSpec,
        "Selectors file",
        "`selectors.yml` or `selectors.toml`, beside the project file; see [named selectors](selection.md#named-"
        "selectors).",
    ),
    (specs.SelectorSpec, "Selector", "One entry of `selectors`. The definition may be text, as for `--select`."),
    (specs.CriterionSpec, "Selection criterion", "One form of a definition; `tag: nightly` is short for it."),
    (specs.UnionSpec, "Selection union", "One form of a definition."),
    (specs.IntersectionSpec, "Selection intersection", "One form of a definition."),
    (specs.ExcludeSpec, "Selection exclusion", "One item of a `union` or an `intersection`."),
)
"""What users write: the spec, its title and a sentence."""

UNDESCRIBED = {
    ("FailureBudgetSpec", "share"): "Share of the groups that were tried, 0 to 1.",
    ("FailureBudgetSpec", "count"): "Count of groups.",
}
"""Descriptions of fields that have none in the code."""

ALIASES: tuple[tuple[Any, str], ...] = (
    (specs.Count, "whole number, 1 or more"),
    (spec_types.Number, "number"),
    (spec_types.WholeShare, "share such as `0.95` or `95%`"),
    (spec_types.Tolerance, "share such as `0.05` or `5%`"),
    (spec_types.Size, "size such as `500kb`, `1mb`, `1mib`, or bytes"),
    (spec_types.Budget, "share such as `1%` or `0.01`, or count, or [failure budget](#failure-budget)"),
    (specs.Steps, "whole number, 0 or more"),
    (specs.Share, "number between 0 and 1"),
    (specs.Seconds, "duration such as `30s`, `10m`, `1h30m`, or seconds"),
    (specs.Folds, "whole number, 2 or more"),
    (specs.Grid, "mapping of names to lists of values"),
    (specs.Names, "list of texts, or one text"),
    (specs.Option, "text, number, true or false"),
    (specs.Estimator, "class name or [estimator](#estimator)"),
    (specs.Estimators, "list of class names or [estimators](#estimator), or one of them"),
)
"""Types that have a word of their own."""

FIELD_TYPES = {
    ("FamiliesFileSpec", "families"): "list of [families](#family)",
    ("FamiliesFileSpec", "sources"): "list of [sources](#source)",
    ("FamiliesFileSpec", "moved"): "list of [moved families](#moved-family)",
    ("SourceSpec", "columns"): "list of column names or [source columns](#source-column)",
    ("FamilySpec", "group_by"): "list of column names, or one",
    ("FamilySpec", "features"): "list of column names or [features](#feature), or one name",
    ("FamilySpec", "pipeline"): "list of [pipeline steps](#pipeline-step)",
    ("FamilySpec", "tests"): "list of [tests](#test)",
    ("FamilySpec", "seed"): "whole number, 0 or more",
    ("SearchSpec", "estimators"): "list of class names or [searched estimators](#searched-estimator)",
    ("SelectorsFileSpec", "selectors"): "list of [selectors](#selector)",
    ("SelectorSpec", "definition"): "text, [criterion](#selection-criterion), [union](#selection-union) or "
    "[intersection](#selection-intersection)",
    ("CriterionSpec", "value"): "text, number, true or false",
    ("CriterionSpec", "exclude"): "list of definitions",
    ("UnionSpec", "union"): "list of definitions",
    ("IntersectionSpec", "intersection"): "list of definitions",
    ("ExcludeSpec", "exclude"): "list of definitions",
}
"""Types that no annotation tells."""

STATUSES: Mapping[Status, str] = {
    Status.TRAINED: "Fitted in this version.",
    Status.REUSED: "The model of an earlier version stands, `model_version` names it; `reason` says why.",
    Status.TOO_FEW_ROWS: "Fewer usable rows than `min_rows`; no row was shipped to a worker.",
    Status.TOO_MANY_ROWS: "More usable rows than `max_rows`; no row was shipped to a worker.",
    Status.NULL_KEY: "A group column is null, and `null_keys` is `skip`.",
    Status.ONE_CLASS: "A classifier's rows have one class only: all of the group, or those of a training part.",
    Status.FAILED: "The fit, the measuring or the encoding raised, or a number is beyond what a double holds exactly; "
    "see `error_type` and `error`.",
    Status.TIMED_OUT: "Took longer than `timeout`.",
    Status.CRASHED: "A process that fitted it alone died on it, such as in compiled code or for want of memory.",
}

COLUMNS: Mapping[str, tuple[str, str]] = {
    "status": ("string", "What came of the group; one of the statuses above."),
    "n_rows": ("bigint", "Rows of the group in the input, with a label or without."),
    "n_train": ("bigint", "Rows the stored model was fitted on; 0 without a model."),
    "n_test": ("bigint", "Rows the metrics were measured on; with `folds` every usable row once."),
    "metrics": ("map<string,double>", "Metrics of the model by name; one that is not defined on the rows is left out."),
    "baseline": ("map<string,double>", "The same metrics of the baseline on the same rows."),
    "fit_seconds": (
        "double",
        "Wall seconds inside `fit`, all fits of the group; null if it was not tried in this version.",
    ),
    "cpu_seconds": ("double", "Processor seconds inside `fit`; null if it was not tried in this version."),
    "model_version": (
        "int",
        "The version whose model table holds the model; after a fault that of the last good one, null without.",
    ),
    "model_bytes": ("bigint", "Size of the encoded model."),
    "model_sha256": ("string", "SHA-256 of the encoded model."),
    "data_digest": ("string", "Hash of the group's rows that does not depend on their order."),
    "error_type": ("string", "Class of the exception, or `InexactNumber`."),
    "error": ("string", "What it said, at most 500 characters; for other statuses a reason where there is one."),
    "warnings": (
        "array<string>",
        "Rows left out for want of a label, what a search has to tell, and up to five warnings of the fit.",
    ),
    "reason": ("string", "Why the group was tried or stands, as below; null where a rule decided."),
    "champion": (
        "map<string,double>",
        "Metrics of the current version's model on the same rows, where the family has the test `beats_current`.",
    ),
    "chosen": ("string", "The candidate that the model is, as text; null where the family does not search."),
    "candidates": (
        "map<string,double>",
        "Mean of the search's metric by candidate; one that failed or could not be measured is left out.",
    ),
}

ORIGINS: Mapping[OriginKind, str] = {
    OriginKind.FAMILY: "The family's own file says it.",
    OriginKind.FOLDER_DEFAULT: "A file `_defaults` of the family's folder or of one above says it.",
    OriginKind.PROJECT_DEFAULT: "`defaults` of the project file say it.",
    OriginKind.SOURCE: "The declaration of the source says it.",
    OriginKind.QUERY_FILE: "It is the text of the file that `sql_file` names.",
    OriginKind.BUILT_IN: "Nobody says it; it is the default of the key.",
    OriginKind.SCIKIT_LEARN: "Nobody says it; it is the default of the parameter in the installed scikit-learn.",
    OriginKind.CLASS: "The same of a class of another package.",
    OriginKind.VARIABLE: "`name` is a variable of the project's `vars`.",
    OriginKind.COMMAND_LINE: "`name` is a variable of `--vars`.",
    OriginKind.REFERENCE_DEFAULT: "`name` is not set, and the reference to it gives a default.",
    OriginKind.ENVIRONMENT: "`name` is a variable of the environment; its value is never shown.",
    OriginKind.SEED: "The definition leaves a `random_state` open: each group gets one made of `seed` and its key.",
}

RESOLVED: Mapping[str, str] = {
    "path": "Keys and list indexes, such as `features[2].kind`. What a source declares is below `sources`, the text of "
    "a `sql_file` is `query`.",
    "value": "The value, with the reference in the place of a value of the environment.",
    "from": "Where it is written or which default it is: an object with `kind`, `name`, `file`, `line` and `column`, "
    "null where they do not apply.",
    "via": "What it came through, as a list of such objects.",
    "overrides": "What it hides, nearest first, as a list of objects with `path`, `value` and `from`. A key is hidden "
    "as a whole, so that all values in it name the same; items of `tags` and `meta` are hidden one by one.",
}
"""Keys of a resolved value in JSON."""

CODE_GROUPS = {
    "1": "Finding and reading files",
    "2": "Definitions",
    "3": "Data",
    "4": "Machine and store",
    "5": "Options",
    "6": "Builds",
}


def reference() -> str:
    """Return the text of docs/reference.md."""
    sections = (
        _spec_sections,
        _result_sections,
        _metric_section,
        _resolved_section,
        _command_sections,
        _code_section,
    )
    parts = [HEAD, *(part for section in sections for part in section())]
    lines = "\n".join(part.rstrip("\n") + "\n" for part in parts).splitlines()
    return "".join(f"{line if line.startswith(('|', '<')) else _filled(line)}\n" for line in lines)


def _filled(line: str) -> str:
    return textwrap.fill(line, 120, break_long_words=False, break_on_hyphens=False)


# What users write ---------------------------------------------------------------------------------------------------


def _spec_sections() -> Iterator[str]:
    yield "## Files\n"
    for spec, title, sentence in SPECS:
        yield f"### {title}\n\n{sentence}\n"
        yield _table(("key", "type", "default", "description"), _field_rows(spec))


def _field_rows(spec: type[specs.Spec]) -> Iterator[Sequence[str]]:
    hints = typing.get_type_hints(spec, include_extras=True)
    for name, field in spec.model_fields.items():
        kind = FIELD_TYPES.get((spec.__name__, name)) or _words(hints[name])
        description = field.description or UNDESCRIBED[spec.__name__, name]
        yield f"`{field.alias or name}`", kind, _default(field), description


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    match field.default:
        case None:
            return "–"
        case specs.FailureBudgetSpec(share=float(share)):
            return f"`{share:.0%}`"
        case specs.FailureBudgetSpec(count=int(count)):
            return f"`{count}`"
        case _:
            return f"`{json.dumps(field.default, ensure_ascii=False)}`"


def _words(hint: Any) -> str:
    """Say a type in words."""
    for alias, words in ALIASES:
        if hint == alias:
            return words
    if isinstance(hint, type) and issubclass(hint, specs.Spec):
        title = next(title for spec, title, _ in SPECS if spec is hint)
        return f"[{title.lower()}](#{_slug(title)})"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return _alternatives([f"`{value}`" for value in arguments])
    if origin in (Union, types.UnionType):
        return _alternatives([_words(a) for a in arguments if a is not type(None)])
    if origin in (list, tuple):
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return "mapping" if arguments[1] is Any else f"mapping of {_words(arguments[1])}"
    return {str: "text", bool: "true or false", int: "whole number", float: "number"}[hint]


def _alternatives(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


# What a build leaves ------------------------------------------------------------------------------------------------


def _result_sections() -> Iterator[str]:
    yield "## Statuses\n\nEvery group that the census finds has exactly one row in the group table, with one status.\n"
    yield _table(
        ("status", "has a model", "counts against `max_failed`", "meaning"),
        ((f"`{s}`", _yes(s in SERVED), _yes(s in FAULTS), STATUSES[s]) for s in Status),
    )
    yield (
        "## Group table\n\nOne row per group: the `group_by` columns with their own types, then these columns. "
        "A group column may not have one of these names.\n"
    )
    yield _table(
        ("column", "type", "meaning"),
        ((f"`{name}`", f"`{COLUMNS[name][0]}`", COLUMNS[name][1]) for name in GROUP_COLUMNS),
    )


def _resolved_section() -> Iterator[str]:
    yield (
        "## Resolved values\n\n`mf show FAMILY --resolved --output json` writes a list of all values that a family "
        "depends on, each as an object.\n"
    )
    yield _table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in RESOLVED.items()))
    yield "Kinds in `from` and `via`:\n"
    yield _table(("kind", "meaning"), ((f"`{kind}`", ORIGINS[kind]) for kind in OriginKind))


def _metric_section() -> Iterator[str]:
    yield (
        "## Metrics\n\nNames for `evaluate.metrics`. Each is a function of `sklearn.metrics`, with the `average` that "
        "stands behind it. Those in bold are measured when `metrics` is not given.\n"
    )
    usual = {name for names in DEFAULT_METRICS.values() for name in names}
    yield _table(
        ("metric", "measures", "better", "function"),
        (
            (
                f"**`{name}`**" if name in usual else f"`{name}`",
                metric.task,
                "higher" if metric.higher_is_better else "lower",
                f"`{metric.function}`" + (f", `{metric.average}`" if metric.average else ""),
            )
            for name, metric in METRICS.items()
        ),
    )


# Commands -----------------------------------------------------------------------------------------------------------


def _command_sections() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    own = ", ".join(_code(option) for option in group.params)
    yield (
        f"## Commands\n\n`mf` alone takes {own} and, as every command, `--help`. stdout carries data only; "
        "progress and diagnostics go to stderr.\n"
    )
    shared: dict[str, tuple[Any, Any]] = {}
    for info in app.registered_commands:
        if info.callback is None:
            raise AssertionError("every command has a callback")
        name = info.name or info.callback.__name__.replace("_", "-")
        command = group.commands[name]
        hints = typing.get_type_hints(info.callback, include_extras=True)
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        words = [p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments]
        usage = " ".join(["mf", name, *words, *(["[OPTIONS]"] if options else [])])
        yield f"### mf {name}\n\n{' '.join(inspect.getdoc(info.callback).split())}\n\n```\n{usage}\n```\n"
        rows = [
            (f"`{p.name.upper()}`", _value(hints[p.name]), "**required**" if p.required else "–", p.help)
            for p in arguments
        ]
        rows += [_option_row(p, hints) for p in options if p.rich_help_panel != PROJECT]
        if rows:
            yield _table(("option", "value", "default", "meaning"), rows)
        common = [p for p in options if p.rich_help_panel == PROJECT]
        shared |= {p.name: (p, hints) for p in common}
        also = ", ".join(_code(p) for p in common)
        yield f"Also: {also}; see [options of many commands](#options-of-many-commands).\n"
    yield "### Options of many commands\n"
    yield _table(("option", "value", "default", "meaning"), (_option_row(p, hints) for p, hints in shared.values()))


def _option_row(option: Any, hints: Mapping[str, Any]) -> tuple[str, str, str, str]:
    value = _value(hints[option.name])
    default = option.default.value if isinstance(option.default, enum.Enum) else option.default
    return _code(option), value, "–" if default in (None, "", False) else f"`{default}`", option.help


def _code(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


def _value(hint: Any) -> str:
    """Say what an option takes."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _value(arguments[0])
    if origin in (Union, types.UnionType):
        return _value(next(a for a in arguments if a is not type(None)))
    if origin is list:
        return f"{_value(arguments[0])}, may be repeated"
    if origin is tuple:
        return " and ".join(map(_value, arguments))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _alternatives([f"`{member.value}`" for member in hint])
    return {bool: "flag", int: "whole number", str: "text", Path: "path"}[hint]


# Diagnostics --------------------------------------------------------------------------------------------------------


def _code_section() -> Iterator[str]:
    yield "## Diagnostics\n\nA code is never reused for another mistake. `mf explain CODE` says more, with examples.\n"
    for digit, title in CODE_GROUPS.items():
        codes = [code for code in Code if code[2] == digit]
        yield f"### MF{digit}xx: {title.lower()}\n"
        yield _table(("code", "meaning"), ((f"`{code}`", EXPLANATIONS[code].title) for code in codes))


# Markdown -----------------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def _yes(value: bool) -> str:
    return "yes" if value else ""


def main(arguments: Sequence[str]) -> int:
    """Write or check the file; return the exit code."""
    text = reference()
    if list(arguments) == ["--check"]:
        if REFERENCE.is_file() and REFERENCE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/reference.md is stale: run `make docs`", file=sys.stderr)
        return 1
    if arguments:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    REFERENCE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
