"""Open the inputs of a build: every source, and every family's query once what it reads is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import Code, Diagnostic, InputError
from modelfactory.plan.steps import TrainStep

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.spark.inputs import GroupTable, Input


def built_on(steps: Iterable[TrainStep]) -> frozenset[str]:
    """Return the families among some that read the groups of another among them."""
    steps = list(steps)
    built = {step.family for step in steps}
    return frozenset(step.family for step in steps if built & set(step.refs))


def open_inputs(spark: SparkSession, workspace: Workspace, *, later: Collection[str] = ()) -> dict[str, Input]:
    """Open and check all sources, and the inputs of all families but some.

    Args:
        spark: the session.
        workspace: what is to be built.
        later: families whose input is not there yet.

    Raises:
        InputError: with everything that is wrong with any of them.
    """
    from modelfactory.spark.inputs import open_source

    project = workspace.project
    sources = {source.name: source for step in workspace.plan.steps for source in step.sources}
    mistakes: list[Diagnostic] = []
    wrong = set()
    for name, source in sources.items():
        for finding in open_source(spark, source, root=project.root, environ=workspace.environ):
            wrong.add(name)
            place = project.sources[finding.source or name]
            mistakes.append(place.diagnostic(finding.code, finding.message, finding.path, help=finding.help))
    inputs = {}
    for step in workspace.plan.steps:
        if step.family in later or wrong & {source.name for source in step.sources}:
            continue
        opened, found = _opened(spark, workspace, step)
        mistakes += found
        if opened is not None:
            inputs[step.family] = opened
    if mistakes:
        raise InputError(*mistakes)
    return inputs


def open_late(spark: SparkSession, workspace: Workspace, step: TrainStep) -> Input:
    """Open the input of a family whose sources are open, now that the families it reads are built.

    Raises:
        InputError: with everything that is wrong with it.
    """
    opened, mistakes = _opened(spark, workspace, step)
    if opened is None:
        raise InputError(*mistakes)
    return opened


def _opened(spark: SparkSession, workspace: Workspace, step: TrainStep) -> tuple[Input | None, list[Diagnostic]]:
    from modelfactory.spark.inputs import open_input

    family = workspace.family(step.family)
    tables = {ref: _group_table(workspace, ref) for ref in step.refs}
    unbuilt = [ref for ref, table in tables.items() if table is None]
    if unbuilt:
        message = f"`{step.family}` reads the groups of family `{unbuilt[0]}`, which was never built"
        hint = f"`mf build --select +{step.family}` builds it first"
        return None, [family.diagnostic(Code.NOT_BUILT, message, (step.input_key,), help=hint)]
    groups = {ref: table for ref, table in tables.items() if table is not None}
    opened, findings = open_input(spark, step, groups=groups, environ=workspace.environ)
    return opened, [family.diagnostic(f.code, f.message, f.path, help=f.help) for f in findings]


def _group_table(workspace: Workspace, family: str) -> GroupTable | None:
    """Return where the current group table of a family is; None if it was never built."""
    from modelfactory.spark.inputs import GroupTable

    store = workspace.store_with(family)
    version = store.current(family)
    if version is None:
        return None
    return GroupTable(version=version.number, url=store.table_url(family, version, "groups"))
