"""What several tests need: small projects, a reporter that remembers, a catalog of the real classes."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelfactory.commands.cache import cache_folder
from modelfactory.commands.catalog import learn_classes, learn_public_classes
from modelfactory.commands.launching import Launch
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.run import start_run
from modelfactory.commands.selecting import Choice
from modelfactory.commands.workspace import Workspace, open_workspace
from modelfactory.diagnostics import InputError, Severity
from modelfactory.project.classes import ClassFacts, sklearn_names
from modelfactory.project.files import find_project_file
from modelfactory.project.loading import Project, load_project

ROOT = Path(__file__).parent.parent
PROJECTS = ROOT / "projects"
FAMILY_YAML = """\
families:
- name: f
  group_by: [k]
  source: s
  features: [x]
  label: y
  estimator: Ridge
"""
FAMILY_TOML = """\
[[families]]
name = "f"
group_by = ["k"]
source = "s"
features = ["x"]
label = "y"
estimator = "Ridge"
"""
"""The same family in both formats, on a source `s`."""
ONE_ROW = {
    "families/f.yml": FAMILY_YAML,
    "rows.csv": "k,x,y\na,1,2\n",
    "sources/s.yml": "sources: [{name: s, path: rows.csv, format: csv}]",
}
"""Files of a whole project with that family."""


def write_project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files, by relative name; a project file is added where there is none."""
    if not any(name.startswith("mf_project.") for name in files):
        files = {"mf_project.yml": "name: demo\n", **files}
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def load(folder: Path, *, environ: Mapping[str, str] | None = None, **variables: Any) -> Project:
    """Load the project in a folder."""
    project_file = find_project_file(folder, search_parents=False)
    project, mistakes = load_project(project_file, variables=variables, environ=environ or {})
    if any(mistake.severity == Severity.ERROR for mistake in mistakes):
        raise InputError(*mistakes)
    return project


def workspace_of(folder: Path, *select: str, environ: Mapping[str, str] | None = None, **variables: Any) -> Workspace:
    """Open the project in a folder with its plan."""
    options = ProjectOptions(project_dir=folder, variables=variables, environ={**_cache(), **(environ or {})})
    return open_workspace(options, Choice(select=select))


def launched_in(session: Any) -> Callable[..., contextlib.AbstractContextManager[Launch]]:
    """Return what stands in for `launched` where a command is to use a session that is there already."""

    @contextlib.contextmanager
    def launched(options: ProjectOptions, *_: Any, ready: Callable[[Workspace], None], **__: Any) -> Iterator[Launch]:
        folder = options.project_dir
        assert folder is not None
        workspace = workspace_of(folder, environ=options.environ, **options.variables)
        ready(workspace)
        yield Launch(workspace, session, start_run(folder))

    return launched


def facts_of(project: Project) -> dict[str, ClassFacts]:
    """Return the facts of a project's classes."""
    return learn_classes(project, cache_folder(os.environ))


def learn(folder: Path, words: Iterable[str]) -> dict[str, ClassFacts]:
    """Learn all classes of scikit-learn that are among some words, in one process, and return what is known."""
    names = sorted(set(words) & sklearn_names().keys())
    family = "- {{name: f{}, group_by: k, sql: select 1, features: x, estimator: {}}}\n"
    families = "families:\n" + "".join(family.format(i, name) for i, name in enumerate(names))
    return facts_of(load(write_project(folder, {"families/f.yml": families})))


@functools.cache
def public_facts() -> dict[str, ClassFacts]:
    """Return the facts of scikit-learn's public classes."""
    return learn_public_classes(cache_folder(os.environ))


def _cache() -> dict[str, str]:
    """Return what the environment of a test has for the cache of all tests, where it is made from nothing."""
    return {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}


class RecordingReporter:
    """Remembers what a command reported."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self.events.append((name, *arguments))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of all events of one name."""
        return [event[1:] for event in self.events if event[0] == name]


def started_build(folder: Path, *options: str, **environ: str) -> subprocess.Popen[str]:
    """Start `mf build` in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "modelfactory", "build", "--project-dir", str(folder), *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
        start_new_session=True,
    )


def wait_until_it_listens(process: subprocess.Popen[str]) -> None:
    """Wait until `mf` handles SIGTERM, the first thing that it does; before that, a signal is for Python."""
    status = Path(f"/proc/{process.pid}/status")
    caught = 0
    while not caught & 1 << (signal.SIGTERM - 1):
        assert process.poll() is None
        time.sleep(0.001)
        caught = int(re.search(r"^SigCgt:\s*(\w+)$", status.read_text(encoding="utf-8"), re.MULTILINE)[1], 16)


def alive_in(session: int) -> dict[int, str]:
    """Return number and name of each process of a session, in which all are that its first has started."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            start, _, rest = file.read_text(encoding="utf-8").rpartition(")")
            state, _, _, number, *_ = rest.split()
            if int(number) == session and state != "Z":  # nobody may have asked yet how it ended
                pid, _, name = start.partition(" (")
                found[int(pid)] = name
    return found


def wait_until_gone(session: int, *, seconds: float = 10) -> None:
    """Wait until no process of a session is alive."""
    deadline = time.monotonic() + seconds
    while left := alive_in(session):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
