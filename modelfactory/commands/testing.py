"""Declared tests: of a version that a build is about to publish, and of published ones for `mf test`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelfactory.commands.events import document_of, json_value
from modelfactory.commands.report import JudgedFamily, Judgement, Reporter, held_back
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import Code, Diagnostic, InputError, hide
from modelfactory.plan.steps import DeclaredTest, TrainStep
from modelfactory.project.variables import resolve_environment
from modelfactory.store.groups import read_groups, with_all_columns
from modelfactory.store.history import version_of
from modelfactory.store.manifest import Manifest, VersionRecord
from modelfactory.testing.registry import run_tests
from modelfactory.testing.results import TestResult
from modelfactory.testing.tested import Tested

if TYPE_CHECKING:
    import pyarrow as pa

    from modelfactory.serving.models import VersionModels

SCHEMA = 1
"""Number of the form of the document that `mf test --output json` writes."""
MODELS_KEPT = 64 << 20
"""Most bytes of models that are kept loaded, for the next test."""


def judge_candidate(
    workspace: Workspace, step: TrainStep, groups: pa.Table, record: VersionRecord
) -> tuple[TestResult, ...]:
    """Run the declared tests of a version that is sealed and not published.

    Args:
        workspace: the project.
        step: the family's step.
        groups: the version's group table, in the order in which it was written.
        record: the version.
    """
    if not step.tests:
        return ()
    before = workspace.store.manifest(step.family)
    former = before.versions if before else []
    manifest = Manifest(family=step.family, current=record.number, versions=[*former, record])
    current = before.version() if before else None
    return _run(workspace, _tested(workspace, step, manifest, record, groups=groups, previous=current, anew=False))


def failure(step: TrainStep, tests: tuple[TestResult, ...]) -> Diagnostic | None:
    """Say why a version may not be published that its tests hold back; None if none does."""
    wrong = [test for test in tests if test.holds_back]
    if not wrong:
        return None
    said = ", ".join(f"{test.name} ({test.message})" for test in wrong)
    return Diagnostic(
        code=Code.TESTS_FAILED,
        message=f"{len(wrong)} of {len(tests)} tests of family `{step.family}` failed: {said}; "
        "the version is not published",
        help=held_back(step.family),
    )


def judge_published(workspace: Workspace, reporter: Reporter, *, version: int | None = None) -> Judgement:
    """Run the declared tests of the selected families on published versions.

    Args:
        workspace: the project.
        reporter: hears what happens.
        version: number of the version; the current one of each family if None.

    Raises:
        InputError: a store or a version cannot be read, or there is none of that number.
    """
    began = time.monotonic()
    steps = [step for step in workspace.plan.steps if step.tests]
    judged = []
    for index, step in enumerate(steps, start=1):
        found = _judged(workspace, step, version)
        judged.append(found)
        reporter.family_tested(index, len(steps), found)
    without = len(workspace.plan.steps) - len(steps)
    if without:
        reporter.note(f"{without} {'family declares' if without == 1 else 'families declare'} no tests")
    done = Judgement(families=tuple(judged), seconds=time.monotonic() - began)
    reporter.tests_finished(done)
    return done


def _judged(workspace: Workspace, step: TrainStep, number: int | None) -> JudgedFamily:
    began = time.monotonic()
    manifest = workspace.store.manifest(step.family)
    if manifest is None:
        return JudgedFamily(family=step.family, version=None)
    record = version_of(manifest, manifest.current if number is None else number)
    former = [version for version in manifest.versions if version.number < record.number]
    tested = _tested(
        workspace,
        step,
        manifest,
        record,
        groups=_groups_of(workspace, step, record),
        previous=former[-1] if former else None,
        anew=True,
    )
    results = _run(workspace, tested)
    return JudgedFamily(family=step.family, version=record.number, tests=results, seconds=time.monotonic() - began)


def _run(workspace: Workspace, tested: Tested) -> tuple[TestResult, ...]:
    """Run tests; what they say holds no value of the environment."""
    shown_as = workspace.project.shown_as
    return tuple(
        dataclasses.replace(
            result, message=hide(result.message, shown_as), failing=tuple(json_value(result.failing, shown_as))
        )
        for result in run_tests(tested)
    )


def _tested(
    workspace: Workspace,
    step: TrainStep,
    manifest: Manifest,
    record: VersionRecord,
    *,
    groups: pa.Table,
    previous: VersionRecord | None,
    anew: bool,
) -> Tested:
    """Put together what tests of a version look at.

    Args:
        workspace: the project.
        step: the family's step.
        manifest: all versions of the family, this one among them.
        record: the version.
        groups: its group table.
        previous: the version before.
        anew: whether models that were taken over from earlier versions are looked at again.
    """
    store = workspace.store

    def open_models() -> VersionModels:
        from modelfactory.serving.models import LoadedModels, Trust, VersionModels  # for those who ask for models

        # They are looked at and not asked: what another scikit-learn has fitted has the same numbers.
        trust = Trust(frozenset(workspace.project.spec.estimator_packages), version_mismatch=True)
        return VersionModels(store, manifest, record, trust, LoadedModels(MODELS_KEPT))

    def read_previous() -> pa.Table:
        if previous is None:
            raise AssertionError("there is no version before")
        return _groups_of(workspace, step, previous)

    return Tested(
        tests=tuple(_with_environment(test, workspace.environ) for test in step.tests),
        groups=groups,
        record=record,
        open_models=open_models,
        read_previous=read_previous,
        previous_record=previous,
        history=tuple(version for version in manifest.versions if version.number < record.number),
        anew=anew,
    )


def _groups_of(workspace: Workspace, step: TrainStep, version: VersionRecord) -> pa.Table:
    """Read a group table; queries may name the columns that those of earlier releases do not have."""
    return with_all_columns(read_groups(workspace.store.files(step.family, version, "groups")), version.group_by)


def _with_environment(test: DeclaredTest, environ: Mapping[str, str]) -> DeclaredTest:
    """Put the environment's values into the query of a test."""
    if test.kind != "sql":
        return test
    query = resolve_environment(test["query"], environ)
    return dataclasses.replace(test, parameters=(("query", query),))


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    """Return what came of testing as plain data."""
    return {
        "schema": SCHEMA,
        "exit_code": judgement.exit_code,
        "seconds": round(judgement.seconds, 3),
        "families": [
            {
                "family": family.family,
                "version": family.version,
                "seconds": round(family.seconds, 3),
                "tests": [document_of(test) for test in family.tests],
            }
            for family in judgement.families
        ],
    }


def check_queries(workspace: Workspace) -> None:
    """See that the tests that are queries can be run, before anything is trained for them.

    Raises:
        InputError: with each that cannot.
    """
    mistakes = [
        family.diagnostic(Code.BAD_VALUE, f"cannot run the query: {wrong}", ("tests", index, "sql", "query")).hiding(
            workspace.project.shown_as
        )
        for family in workspace.families
        for index, test in enumerate(family.spec.tests)
        if test.kind == "sql"
        and (wrong := _wrong_query(resolve_environment(test.parameters.query, workspace.environ))) is not None
    ]
    if mistakes:
        raise InputError(*mistakes)


def _wrong_query(query: str) -> str | None:
    from modelfactory.testing.queries import check_query

    return check_query(query)
