"""How long commands take from the shell: `mf` on a thousand families beside dbt on a thousand models, and the start."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import run_watched
from workloads import write_files

HERE = Path(__file__).parent
MF = (sys.executable, "-m", "modelfactory")
DBT = "dbt-core<1.12", "dbt-duckdb<1.12"
"""The last dbt that is Python; the next one is another program."""
NODES = 1_000


@dataclass(frozen=True, slots=True)
class Timing:
    """What a command took, in seconds; None where it could not be run.

    Attributes:
        what: the command or what it does.
        own: `mf`.
        peer: what one would have used instead.
    """

    what: str
    own: float
    peer: float | None


def command_timings(folder: Path) -> list[Timing]:
    """Time light commands of `mf` and of dbt; each is the least of five runs, the cold parse of dbt one run."""
    project = _thousand_families(folder / "mf")
    dbt = _install_dbt(folder / "dbt-venv")
    models = _thousand_models(folder / "dbt") if dbt else folder
    place, there = ["--project-dir", str(project)], ["--project-dir", str(models), "--profiles-dir", str(models)]

    def by_dbt(*arguments: str, runs: int = 5) -> float | None:
        if dbt is None:
            return None
        return _least([str(dbt), *arguments], runs, {"DBT_SEND_ANONYMOUS_USAGE_STATS": "0"})

    cold = by_dbt("parse", *there, runs=1)
    return [
        Timing("`--help`", _least([*MF, "--help"]), by_dbt("--help")),
        Timing(f"`parse`, {NODES:,} families, cold", _least([*MF, "parse", *place]), cold),
        Timing("the same again", _least([*MF, "parse", *place]), by_dbt("parse", *there)),
        Timing(
            "`ls --select tag:…`", _least([*MF, "ls", "-s", "tag:t3", *place]), by_dbt("ls", "-s", "tag:t3", *there)
        ),
    ]


def start_timings(folder: Path, cache: Path) -> list[Timing]:
    """Time `mf build` of the project that `mf init` writes, beside a script that trains the same models.

    Args:
        folder: an empty folder.
        cache: a cache in which the archive of Spark's classes is.
    """
    project = folder / "starter"
    run_watched([*MF, "init", str(project)])
    data = project / "data" / "gapminder.parquet"
    script = [sys.executable, str(HERE / "peers.py"), "starter_by_hand", str(data), str(folder / "out"), "", "{}"]
    by_hand = _least(script, 3, left=folder / "out")
    build = [*MF, "build", "--quiet", "--project-dir", str(project)]
    empty = folder / "cache"
    first = _least(build, 3, {"XDG_CACHE_HOME": str(empty), "MODELFACTORY_ARCHIVE": "off"}, left=empty)
    later = _least(build, 3, {"XDG_CACHE_HOME": str(cache), "MODELFACTORY_ARCHIVE": "off"})
    return [
        Timing("`mf build` of the starter, the first on a machine", first, by_hand),
        Timing("the same, once the archive of Spark's classes is made", later, by_hand),
    ]


def _least(
    command: Sequence[str], runs: int = 5, environment: Mapping[str, str] | None = None, *, left: Path | None = None
) -> float:
    """Return the least seconds of some runs; what a run leaves is removed."""
    seconds = []
    for _ in range(runs):
        if left is not None:
            shutil.rmtree(left, ignore_errors=True)
        began = time.perf_counter()
        run_watched(command, environment)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _install_dbt(folder: Path) -> Path | None:
    """Install dbt apart from `mf`; None where the registry does not have it."""
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *DBT]
    done = subprocess.run(pip, capture_output=True, check=False)
    return folder / "bin" / "dbt" if done.returncode == 0 else None


def _thousand_families(folder: Path) -> Path:
    documents: dict[str, object] = {
        "mf_project.yml": {"name": "thousand"},
        "sources/rows.yml": {"sources": [{"name": "rows", "path": "data/rows.parquet"}]},
    }
    for number in range(NODES):
        family = {
            "name": f"family_{number}",
            "description": f"The models of number {number}",
            "tags": [f"t{number % 10}", "nightly"],
            "owner": f"team-{number % 7}",
            "group_by": ["shop", "sku"],
            "source": "rows",
            "where": f"kind = {number}",
            "features": ["price", "stock", "weekday", "holiday"],
            "label": "sold",
            "estimator": {"class": "Ridge", "params": {"alpha": 1.0}},
            "evaluate": {"holdout": 0.2, "metrics": ["rmse", "mae"]},
            "min_rows": 20,
        }
        documents[f"families/family_{number}.yml"] = {"families": [family]}
    write_files(folder, documents)
    return folder


def _thousand_models(folder: Path) -> Path:
    outputs = {"dev": {"type": "duckdb", "path": ":memory:"}}
    documents: dict[str, object] = {
        "dbt_project.yml": {"name": "thousand", "version": "1.0", "profile": "thousand"},
        "profiles.yml": {"thousand": {"target": "dev", "outputs": outputs}},
    }
    for number in range(NODES):
        model = {"name": f"model_{number}", "description": f"The model of number {number}"}
        documents[f"models/model_{number}.yml"] = {"version": 2, "models": [model]}
    write_files(folder, documents)
    for number in range(NODES):
        text = f"{{{{ config(tags=['t{number % 10}', 'nightly']) }}}}\nselect {number} as kind\n"
        (folder / "models" / f"model_{number}.sql").write_text(text, encoding="utf-8")
    return folder
