"""One invocation that starts Spark: its name, where it leaves things, and what it ran with."""

from __future__ import annotations

import platform
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_MOMENT = "%Y%m%dT%H%M%S"


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation.

    Attributes:
        run_id: its name, unique and sortable by time.
        artefacts: folder of what it leaves behind besides models.
        log: file that takes what Spark prints.
        events: file that takes what is reported.
        git_commit: commit of the project, if it is in a repository.
        libraries: versions of what decides the models' bytes.
    """

    run_id: str
    artefacts: Path
    log: Path
    events: Path
    git_commit: str | None
    libraries: Mapping[str, str]


def start_run(root: Path) -> Run:
    """Name a new run of the project in `root`."""
    run_id, target = new_run_id(), root / "target"
    return Run(
        run_id=run_id,
        artefacts=target / "runs" / run_id,
        log=target / "logs" / "spark.log",
        events=target / "logs" / "mf.log",
        git_commit=_git_commit(root),
        libraries={
            "python": platform.python_version(),
            **{
                name: metadata.version(name)
                for name in ("scikit-learn", "numpy", "scipy", "joblib", "pandas", "pyarrow", "pyspark")
            },
        },
    )


def new_run_id() -> str:
    """Return a name that no other run has, sortable by time."""
    return f"{datetime.now(UTC):{_MOMENT}}-{secrets.token_hex(3)}"


def run_moment(run_id: str) -> datetime | None:
    """Return when a run of this name began; None if it is no name of a run."""
    try:
        return datetime.strptime(run_id.partition("-")[0], _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _git_commit(root: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
