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
    timings = [
        Timing("`--help`", _least([*MF, "--help"]), by_dbt("--help")),
        Timing(f"`parse`, {NODES:,} families, cold", _least([*MF, "parse", *place]), cold),
        Timing("the same again", _least([*MF, "parse", *place]), by_dbt("parse", *there)),
        Timing(
            "`ls --select tag:…`", _least([*MF, "ls", "-s", "tag:t3", *place]), by_dbt("ls", "-s", "tag:t3", *there)
        ),
    ]
    _change_a_tenth(project)
    return [*timings, Timing("`diff HEAD`, a tenth of the files changed", _least([*MF, "diff", "HEAD", *place]), None)]


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
    """Write a project of a hundred files in ten folders, one half YAML and one half TOML, and commit it."""
    sources = "".join(f"  - {{name: rows_{n}, path: data/rows_{n}.parquet}}\n" for n in range(20))
    files = {
        "mf_project.yml": "name: thousand\nvars: {least: 20}\ndefaults: {owner: team}\n",
        "sources/rows.yml": f"sources:\n{sources}",
        **{f"families/area_{n}/_defaults.yml": _DEFAULTS for n in range(10)},
    }
    for number in range(100):
        place = f"families/area_{number % 10}/f{number}"
        families = range(number * 10, number * 10 + 10)
        if number % 2:
            files[f"{place}.toml"] = "\n".join(_TOML.format(n=n, source=n % 20, tag=n % 50) for n in families)
        else:
            files[f"{place}.yml"] = "families:\n" + "".join(
                _YAML.format(
                    n=n, tag=n % 50, input=(_SQL if n % 3 == 0 else "source: rows_{source}").format(source=n % 20)
                )
                for n in families
            )
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    commands: list[list[str]] = [["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "all"]]
    for command in commands:
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def _change_a_tenth(project: Path) -> None:
    """Change the families of every tenth file, as a pull request would."""
    for file in sorted(project.glob("families/*/*"))[::10]:
        file.write_text(
            file.read_text(encoding="utf-8").replace("rmse, mae", "rmse").replace("alpha = 1.5", "alpha = 2")
        )


_DEFAULTS = """\
min_rows: ${var:least}
evaluate: {holdout: 0.2, metrics: [rmse, mae]}
tags: [nightly]
"""
_SQL = "sql: select *, price * 2 as twice from {{{{ source('rows_{source}') }}}} where price > 0"
_YAML = """\
  - name: family_{n}
    description: The models of number {n}
    group_by: [shop, sku]
    {input}
    features: [price, stock, weekday, {{name: region, kind: categorical}}]
    label: sold
    estimator: {{class: RandomForestRegressor, params: {{n_estimators: 50, min_samples_leaf: 5}}}}
    preprocess:
      numeric: [{{class: SimpleImputer, params: {{strategy: median}}}}, StandardScaler]
      categorical: [{{class: OneHotEncoder, params: {{handle_unknown: ignore}}}}]
    tags: [t{tag}]
    meta: {{ticket: T-{n}}}
"""
_TOML = """\
[[families]]
name = "family_{n}"
description = "The models of number {n}"
group_by = ["shop", "sku"]
source = "rows_{source}"
features = ["price", "stock", "weekday"]
label = "sold"
preprocess = {{ numeric = ["StandardScaler"] }}
tags = ["t{tag}"]

[families.estimator]
class = "Ridge"
params = {{ alpha = 1.5 }}
"""


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
