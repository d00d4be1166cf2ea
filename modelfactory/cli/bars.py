"""Progress on a terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn


class Bars:
    """A bar for each family that is being built: `812/1,204 groups, 14 s left`."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[said]}"),
            console=console,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}
        self.began: dict[str, float] = {}
        self.totals: dict[str, int] = {}
        self.progress.start()

    def begin_census(self, family: str, title: str) -> None:
        """Add a bar whose end is not known."""
        self.tasks[family] = self.progress.add_task(title, total=None, said="")

    def begin_training(self, family: str, total: int) -> None:
        """Give the bar its length."""
        self.began[family], self.totals[family] = time.monotonic(), total
        said = f"0/{total:,} groups"
        self.progress.update(self.tasks[family], description=family, total=max(total, 1), said=said)

    def advance(self, family: str, done: int) -> None:
        """Move the bar."""
        total, left = self.totals[family], ""
        if done:
            seconds = (time.monotonic() - self.began[family]) * (total - done) / done
            left = f", {seconds:.0f} s left"
        self.progress.update(self.tasks[family], completed=done, said=f"{done:,}/{total:,} groups{left}")

    def count(self, family: str, rows: int) -> None:
        """Say how many rows are done, of which the end is not known."""
        seconds = time.monotonic() - self.began.setdefault(family, time.monotonic())
        self.progress.update(self.tasks[family], said=f"{f'{rows:,} rows written, ' if rows else ''}{seconds:.0f} s")

    def end(self, family: str) -> None:
        """Take the bar away."""
        if family in self.tasks:
            self.progress.remove_task(self.tasks.pop(family))

    def stop(self) -> None:
        """Take all bars away."""
        self.progress.stop()
