"""`mf debug`: does the machine have what a build needs?"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from modelfactory import __version__
from modelfactory.commands.project_options import ProjectOptions, store_of
from modelfactory.commands.run import start_run
from modelfactory.commands.workspace import open_workspace
from modelfactory.diagnostics import MfError, counted, hide
from modelfactory.project.loading import Project

LIBRARIES = ("pyspark", "scikit-learn", "numpy", "pandas", "pyarrow", "pydantic", "jinja2", "typer")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        found: what was found, or why it is not right.
        passed: whether it is right.
        help: what to do otherwise.
    """

    name: str
    found: str
    passed: bool = True
    help: str | None = None


def debug(options: ProjectOptions, *, connection: bool, store: bool = False) -> tuple[Check, ...]:
    """Look at versions, Java and the project.

    Args:
        options: where the project is and how to read it.
        connection: start Spark and ask its workers.
        store: read every file of the store.
    """
    checks = [
        Check("modelfactory", __version__),
        Check("python", f"{platform.python_version()} at {sys.executable}"),
        *(Check(name, metadata.version(name)) for name in LIBRARIES),
        _checked("java", lambda: _java(options)),
    ]
    try:
        project = open_workspace(options, may_be_empty=True).project
    except MfError as error:
        return (*checks, _failed("project", error))
    families = counted(len(project.families), "family", "families")
    checks.append(Check("project", f"{project.spec.name} in {project.root}, {families}"))
    checks.append(Check("target", f"{project.target_name}: {hide(project.target.address, project.shown_as)}"))
    checks.append(_checked("store", lambda: _store(project)))
    if store:
        checks += _verified(project)
    if connection:
        checks.append(_checked("connection", lambda: _connection(project)))
    return tuple(checks)


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, look())
    except MfError as error:
        return _failed(name, error)


def _failed(name: str, error: MfError) -> Check:
    first = error.diagnostics[0]
    more = f" (and {len(error.diagnostics) - 1} more: `mf parse` tells)" if len(error.diagnostics) > 1 else ""
    return Check(name, first.message + more, passed=False, help=first.help)


def _java(options: ProjectOptions) -> str:
    from modelfactory.spark.java import find_java

    java = find_java(options.environ)
    return f"{java.major} at {java.executable}"


def _store(project: Project) -> str:
    store = store_of(project)
    store.check_writable()
    return f"{store.place.shown()} can be written"


def _verified(project: Project) -> list[Check]:
    from modelfactory.store.verifying import verify_store

    try:
        found = verify_store(store_of(project))
    except MfError as error:
        return [_failed("verified", error)]
    whole = (
        f"{counted(found.families, 'family', 'families')}, {counted(found.versions, 'version')}, "
        f"{counted(found.files, 'file')} of {found.bytes:,} bytes"
    )
    return [
        Check("verified", f"{whole}: {counted(len(found.damages), 'damage') if found.damages else 'all whole'}"),
        *(Check("damaged", damage.text(), passed=False) for damage in found.damages),
        *(Check("leftover", f"`{name}` of a build that died, or of one under way") for name in found.leftovers),
    ]


def _connection(project: Project) -> str:
    from modelfactory.spark.probe import probe_workers
    from modelfactory.spark.session import open_session

    run = start_run(project.root)
    with open_session(project.target, name="mf debug", log=run.log, shown_as=project.shown_as) as spark:
        workers = probe_workers(spark, run.libraries)
    told = workers.libraries
    return (
        f"Spark {told['pyspark']}, {workers.slots} slots, workers run Python {told['python']} at {workers.executable} "
        f"with scikit-learn {told['scikit-learn']}"
    )
