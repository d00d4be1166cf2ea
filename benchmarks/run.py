"""Run workloads with `mf build` and with their peers, side by side, and write docs/benchmarks.md.

Run as `python benchmarks/run.py [WORKLOAD …]`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from processes import Watched, run_watched
from workloads import WORKLOADS, Workload, write_project

HERE = Path(__file__).parent
REPORT = HERE.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Result:
    """What one program took on one workload.

    Attributes:
        program: `mf` or the name of a peer.
        job: seconds of the job, without the start of Spark.
        whole: seconds of the process.
        peak: peak resident bytes by role.
        cpu: processor seconds inside `fit`, where the program tells them.
        efficiency: share of the cores' time in the training job that went into fits, where the program tells it.
    """

    program: str
    job: float
    whole: float
    peak: dict[str, int]
    cpu: float | None = None
    efficiency: float | None = None


def run_mf(folder: Path) -> Result:
    """Build a workload's project from nothing."""
    for name in ("store", "target"):
        shutil.rmtree(folder / name, ignore_errors=True)
    command = [sys.executable, "-m", "modelfactory"]
    watched = checked(run_watched([*command, "build", "--quiet", "--project-dir", str(folder)]))
    manifest = json.loads((folder / "store" / "models" / "manifest.json").read_text(encoding="utf-8"))
    version = manifest["versions"][-1]
    cpu, efficiency = version["cpu_seconds"], version["efficiency"]
    return Result("mf", version["wall_seconds"], watched.seconds, watched.peak, cpu, efficiency)


def run_peer(peer: str, workload: Workload, data: Path, out: Path) -> Result:
    """Run one peer."""
    arguments = [peer, str(data), str(out), workload.estimator, json.dumps(workload.params)]
    watched = checked(run_watched([sys.executable, str(HERE / "peers.py"), *arguments]))
    return Result(peer, json.loads(watched.stdout.splitlines()[-1])["seconds"], watched.seconds, watched.peak)


def checked(watched: Watched) -> Watched:
    """Stop where a program failed."""
    if watched.exit_code:
        raise SystemExit(f"exit code {watched.exit_code}\n{watched.stderr}")
    return watched


def report(results: dict[str, list[Result]]) -> str:
    """Write the results as Markdown."""
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("pyspark", "scikit-learn", "pandas", "pyarrow")
    )
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {os.cpu_count()} cores with Python {platform.python_version()}, {versions}.",
        "",
        "`mf` is a whole build: census, fits, holdout, metrics, baseline, outcomes, publishing. Its peers only fit",
        "and write pickles. Seconds of the job leave out the start of Spark; ratios are to `mf` in the same run.",
    ]
    for name, rows in results.items():
        workload = WORKLOADS[name]
        sizes = workload.rows_of_groups
        lines += [
            "",
            f"## {name}: {len(sizes):,} groups, {sizes.min():,} to {sizes.max():,} rows, {workload.estimator}",
            "",
            "| program | job, s | ratio | process, s | fit CPU, s | efficiency | driver, MB | JVM, MB | workers, MB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        own = next(row for row in rows if row.program == "mf")
        for row in rows:
            cpu = "" if row.cpu is None else f"{row.cpu:.1f}"
            efficiency = "" if row.efficiency is None else f"{row.efficiency:.0%}"
            memory = " | ".join(f"{row.peak.get(role, 0) / 1e6:,.0f}" for role in ("driver", "jvm", "workers"))
            ratio = f"{row.job / own.job:.1f}"
            lines.append(
                f"| {row.program} | {row.job:.1f} | {ratio} | {row.whole:.1f} | {cpu} | {efficiency} | {memory} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the workloads that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    names = parser.parse_args().workloads or list(WORKLOADS)
    results: dict[str, list[Result]] = {}
    with tempfile.TemporaryDirectory(prefix="mf-bench-") as folder:
        for name in names:
            workload = WORKLOADS[name]
            project = Path(folder) / name
            data = write_project(workload, project)
            results[name] = [run_mf(project)]
            for peer in workload.peers:
                results[name].append(run_peer(peer, workload, data, project / f"{peer}.out"))
            for row in results[name]:
                print(f"{name}: {row.program} {row.job:.1f} s", file=sys.stderr)
            shutil.rmtree(project)
    REPORT.write_text(report(results), encoding="utf-8")


if __name__ == "__main__":
    main()
