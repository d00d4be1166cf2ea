"""Write the results as Markdown and as a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from commands import Timing
from stages import Stage
from workloads import GROWTH, WORKLOADS

NAMES = {
    "mf": "`mf build`",
    "apply_in_pandas": "`groupBy().applyInPandas`",
    "fugue": "Fugue `transform`",
    "pandas_loop": "pandas `groupby` loop, one process",
    "joblib": "joblib over sorted arrays",
    "flights_by_hand": "six `groupBy().applyInPandas`",
}
_HEAD = ("program", "job, s", "ratio", "process, s", "ratio", "driver, MB", "JVM, MB", "workers, MB")
_STAGE_HEAD = ("program", "training stage, s", "least possible, s", "ratio", "Σ fit CPU, s", "efficiency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one program took on one workload.

    Attributes:
        program: `mf` or the name of a peer.
        job: seconds of the job, without the start of Spark.
        whole: seconds of the process.
        peak: peak bytes by role.
        cpu: processor seconds inside `fit`, where the program tells them.
        stage: the Spark stage that trains, if it is one.
    """

    program: str
    job: float
    whole: float
    peak: Mapping[str, int]
    cpu: float | None = None
    stage: Stage | None = None


def write_report(
    results: Mapping[str, list[Result]],
    apart: Sequence[str],
    commands: Sequence[Timing],
    starts: Sequence[Timing],
    file: Path,
) -> None:
    """Write the Markdown, with what is measured apart, and beside it the picture if there is something to draw."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = _heading()
    if _draw(results, file.with_suffix(".svg")):
        lines += ["", f"![Time by number of groups, and beside the peers]({file.stem}.svg)"]
    for name, rows in results.items():
        lines += _workload(name, rows)
    lines += _growth(results)
    lines += apart
    lines += _timings("Light commands", "dbt, s", commands)
    lines += _timings("Start", "script, s", starts)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _heading() -> list[str]:
    packages = ("pyspark", "scikit-learn", "pandas", "pyarrow")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {os.cpu_count()} cores with Python {platform.python_version()}, {versions}.",
        "",
        "`mf build` is whole: census, holdout, fits, metrics, baseline, outcomes, publishing; its archive of Spark's",
        "classes is made. The peers only fit and keep pickles. Seconds of the job leave out the start of Python and",
        "Spark; ratios are to `mf` in the same run. Memory is the peak over time, shared pages counted once.",
        "",
        "The training stage is the one whose tasks fit: its seconds from first start to last end, the least that any",
        "placement of the same tasks could take (the longest task, or all of them evenly on all cores), and its",
        "efficiency: Σ fit CPU over cores × seconds. Reading and shuffling are in the job, not in the stage.",
    ]


def _workload(name: str, rows: Sequence[Result]) -> list[str]:
    own = rows[0]
    lines = ["", f"## {name}", "", f"{WORKLOADS[name].title}.", "", _row(_HEAD), _row(["---"] * len(_HEAD))]
    for row in rows:
        cells = [NAMES[row.program], f"{row.job:.1f}", f"{row.job / own.job:.1f}"]
        cells += [f"{row.whole:.1f}", f"{row.whole / own.whole:.1f}"]
        cells += [f"{row.peak[role] / 1e6:,.0f}" if role in row.peak else "" for role in ("driver", "jvm", "workers")]
        lines.append(_row(cells))
    return lines + _stages([row for row in rows if row.stage is not None])


def _stages(rows: Sequence[Result]) -> list[str]:
    lines = ["", _row(_STAGE_HEAD), _row(["---"] * len(_STAGE_HEAD))] if rows else []
    slots = os.cpu_count() or 1
    for row in rows:
        if row.stage is not None:
            took, bound = row.stage.makespan, row.stage.bound(slots)
            fits = ["", ""] if row.cpu is None else [f"{row.cpu:.1f}", f"{row.cpu / (slots * took):.0%}"]
            lines.append(_row([NAMES[row.program], f"{took:.1f}", f"{bound:.1f}", f"{took / bound:.2f}", *fits]))
    return lines


def _growth(results: Mapping[str, list[Result]]) -> list[str]:
    if not all(name in results for name in GROWTH):
        return []
    head = ("groups", "`mf build`, s", "of it per 1,000 groups, s", "driver, MB", "JVM, MB", "workers, MB")
    lines = ["", "## Growth", "", "Groups of 30 rows × 5 features, LinearRegression; whole process."]
    lines += ["", _row(head), _row(["---"] * len(head))]
    for name in GROWTH:
        row, groups = results[name][0], _groups(name)
        memory = [f"{row.peak[role] / 1e6:,.0f}" for role in ("driver", "jvm", "workers")]
        lines.append(_row([f"{groups:,}", f"{row.whole:.1f}", f"{row.whole / groups * 1000:.2f}", *memory]))
    return lines


def _groups(name: str) -> int:
    sizes = WORKLOADS[name].sizes
    return 0 if sizes is None else len(sizes)


def _timings(title: str, peer: str, timings: Sequence[Timing]) -> list[str]:
    if not timings:
        return []
    lines = ["", f"## {title}", "", _row(("", "`mf`, s", peer, "ratio")), _row(["---"] * 4)]
    for t in timings:
        beside = ["", ""] if t.peer is None else [f"{t.peer:.2f}", f"{t.peer / t.own:.1f}"]
        lines.append(_row([t.what, f"{t.own:.2f}", *beside]))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _draw(results: Mapping[str, list[Result]], file: Path) -> bool:
    """Draw the growth with the number of groups, and each workload beside its peers."""
    compared = {name: rows for name, rows in results.items() if len(rows) > 1}
    grown = [name for name in GROWTH if name in results]
    if not compared or not grown:
        return False
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "mf", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.loglog([_groups(n) for n in grown], [results[n][0].whole for n in grown], "o-", label="mf build")
    for peer, mark in (("apply_in_pandas", "s"), ("pandas_loop", "^"), ("joblib", "v")):
        points = [(_groups(n), r.whole) for n in ("linear_100k",) for r in results.get(n, []) if r.program == peer]
        if points:
            left.loglog(*zip(*points, strict=True), mark, label=NAMES[peer].replace("`", ""))
    left.set(xlabel="groups of 30 rows, LinearRegression", ylabel="whole process, s", title="Growth")
    left.grid(alpha=0.3)
    left.legend(frameon=False)
    labels = {program: NAMES[program.replace("flights_by_hand", "apply_in_pandas")] for program in NAMES}
    shown = list(dict.fromkeys(labels.values()))
    width = 0.8 / len(shown)
    for index, rows in enumerate(compared.values()):
        for row in rows:
            place = shown.index(labels[row.program])
            label = shown[place].replace("`", "")
            right.bar(index + place * width, row.job / rows[0].job, width, color=f"C{place}", label=label)
    handles = dict(zip(*reversed(right.get_legend_handles_labels()), strict=True))
    right.legend(handles.values(), handles.keys(), frameon=False)
    right.set_xticks([i + 0.4 - width / 2 for i in range(len(compared))], list(compared))
    right.set(yscale="log", ylim=(0.5, None), ylabel="seconds of the job, mf = 1", title="Beside the peers")
    right.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    right.minorticks_off()
    right.axhline(1, color="black", linewidth=0.8)
    figure.savefig(file, metadata={"Date": None})
    return True
