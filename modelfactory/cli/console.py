"""Write to the terminal: data to stdout, everything else to stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from modelfactory.cli.options import DiagnosticsFormat, LogFormat
from modelfactory.commands.events import Event, Events, json_value
from modelfactory.commands.report import BuildResult, FamilyResult, ScoreResult
from modelfactory.diagnostics import Diagnostic, InputError, MfError, Severity, counted

if TYPE_CHECKING:
    from modelfactory.cli.bars import Bars

WIDTH = 88
_PLAIN_WIDTH = 200
_GRAVITY = {"info": "green", "warning": "yellow", "error": "red"}
"""Style of what came of a family, by level."""
_STYLES = {
    "note": "dim",
    "run_started": "dim",
    "fault": "red",
    "reasons": "dim",
    "other_libraries": "yellow",
    "rows_without_label": "dim",
    "build_finished": "bold",
    "scoring_finished": "bold",
    "export_finished": "bold",
    "tests_finished": "bold",
    "interrupted": "dim",
}
"""Style of the events that a terminal shows as a line; it has bars for progress."""


class Console(Events):
    """Where a command writes. Also the `Reporter` of a build.

    Args:
        diagnostics: how to write diagnostics.
        warn_error: take warnings for errors.
        log_format: how to write to stderr.
        quiet: write errors only.
        debug: show tracebacks.
    """

    def __init__(
        self,
        *,
        diagnostics: DiagnosticsFormat = DiagnosticsFormat.TEXT,
        warn_error: bool = False,
        log_format: LogFormat = LogFormat.TEXT,
        quiet: bool = False,
        debug: bool = False,
    ) -> None:
        super().__init__(self._show)
        self.diagnostics_format = diagnostics
        self.diagnostics_are_data = False
        self.warn_error = warn_error
        self._found: list[Diagnostic] = []
        self.json = log_format == LogFormat.JSON
        self.quiet = quiet
        self.debug = debug
        self.out = RichConsole(
            file=sys.stdout,
            highlight=False,
            markup=False,
            width=None if sys.stdout.isatty() else _PLAIN_WIDTH,
        )
        self.err = RichConsole(
            file=sys.stderr,
            highlight=False,
            markup=False,
            soft_wrap=True,
            width=None if sys.stderr.isatty() else _PLAIN_WIDTH,
        )
        self._bars: Bars | None = None

    def data(self, text: str) -> None:
        """Write data to stdout as it is."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def text(self, text: Text) -> None:
        """Write styled text to stdout."""
        with self.out.capture() as captured:
            self.out.print(text, soft_wrap=True)
        self.data("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))

    def parts(self, parts: Iterable[Text | Table]) -> None:
        """Write texts and tables to stdout, one below the other."""
        for part in parts:
            if isinstance(part, Text):
                self.text(part)
            else:
                self.table(part)

    def lines(self, values: Iterable[str]) -> None:
        """Write one value a line to stdout."""
        for value in values:
            self.data(value)

    def json_lines(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write one JSON object a line to stdout."""
        for row in rows:
            self.data(json.dumps(json_value(row), ensure_ascii=False, allow_nan=False))

    def table(self, table: Table) -> None:
        """Write a table to stdout, without blanks at the ends of lines."""
        with self.out.capture() as captured:
            self.out.print(table)
        self.data("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))

    # What is told ------------------------------------------------------------------------------------------------

    def diagnostics(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Write diagnostics, or keep them for the document that `finish` writes."""
        if self.diagnostics_format != DiagnosticsFormat.TEXT:
            self._found += diagnostics
            return
        super().diagnostics(diagnostics)
        if len(diagnostics) > 1 and not self.json:
            self._count(diagnostics)

    def _count(self, diagnostics: Sequence[Diagnostic]) -> None:
        warnings = sum(d.severity == Severity.WARNING for d in diagnostics)
        errors = len(diagnostics) - warnings
        said = [counted(n, what) for n, what in ((errors, "error"), (warnings, "warning")) if n]
        if errors or not self.quiet:
            self.err.print(" and ".join(said), style="bold red" if errors else "bold yellow")

    def warn(self, warnings: Sequence[Diagnostic]) -> None:
        """Write warnings, unless they are to be errors.

        Raises:
            InputError: warnings are to be errors, and there are some.
        """
        if self.warn_error and warnings:
            raise InputError(*warnings)
        super().warn(warnings)

    def finish(self) -> None:
        """Write the document of all diagnostics, where they are not written one by one."""
        if self.diagnostics_format == DiagnosticsFormat.TEXT or not (self._found or self.diagnostics_are_data):
            return
        from modelfactory.cli.diagnosing import document

        out = sys.stdout if self.diagnostics_are_data else sys.stderr
        out.write(document(self._found, self.diagnostics_format))

    def error(self, error: MfError) -> None:
        """Write what an error has to say."""
        if self.debug:
            if not self.json:
                self.err.print_exception()
            self.trace(error)
        found = error.diagnostics
        if self.warn_error:
            found = tuple(dataclasses.replace(d, severity=Severity.ERROR) for d in found)
        self.diagnostics(found)
        texts = self.diagnostics_format == DiagnosticsFormat.TEXT and not self.json
        if texts and not self.quiet and self.err.is_terminal:
            first = next((d for d in found if d.severity == Severity.ERROR), found[0])
            self.err.print(f"more: mf explain {first.code}", style="dim")

    def trace(self, error: Exception) -> None:
        """Tell where an error was raised; on a terminal Python does it."""
        trace = "".join(traceback.format_exception(error))
        self.tell("traceback", f"{type(error).__name__}: {error}", level="error", traceback=trace)

    def family_started(self, index: int, total: int, family: str) -> None:
        """Show that the census of a family runs."""
        with self._lock:
            super().family_started(index, total, family)
            if self.err.is_terminal and not self.json and not self.quiet:
                bars = self._bars = self._bars or _bars(self.err)
                bars.begin_census(family, f"{index} of {total} census of {family}")

    def family_scheduled(self, family: str, groups: int, to_train: int) -> None:
        """Say that the training of a family begins."""
        with self._lock:
            if self._bars:
                self._bars.begin_training(family, to_train)
            super().family_scheduled(family, groups, to_train)

    def family_progress(self, family: str, done: int) -> None:
        """Move the bar."""
        with self._lock:
            if self._bars:
                self._bars.advance(family, done)
            super().family_progress(family, done)

    def family_finished(self, index: int, total: int, result: FamilyResult) -> None:
        """Say what came of a family."""
        with self._lock:
            if self._bars:
                self._bars.end(result.family)
            super().family_finished(index, total, result)

    def build_finished(self, result: BuildResult) -> None:
        """Write the last line."""
        self.close()
        super().build_finished(result)

    def scoring_started(self, family: str, version: int, rows: str) -> None:
        """Show that a family scores."""
        with self._lock:
            super().scoring_started(family, version, rows)
            if self.err.is_terminal and not self.json and not self.quiet:
                self._bars = self._bars or _bars(self.err)
                self._bars.begin_census(family, f"scoring by {family}")
                self._bars.count(family, 0)

    def scoring_progress(self, family: str, rows: int) -> None:
        """Count the rows."""
        with self._lock:
            if self._bars:
                self._bars.count(family, rows)
            super().scoring_progress(family, rows)

    def scoring_finished(self, result: ScoreResult) -> None:
        """Write the last line."""
        self.close()
        super().scoring_finished(result)

    def close(self) -> None:
        """Take the bars off the terminal."""
        with self._lock:
            if self._bars:
                self._bars.stop()
                self._bars = None

    def _show(self, event: Event) -> None:
        if event.level == "debug" or (self.quiet and event.level != "error"):
            return
        if self.json:
            sys.stderr.write(event.line() + "\n")
        elif event.event == "diagnostic":
            self.err.print(_styled(event.text or event.message))
        elif event.outcome is not None:
            said = event.text or event.message
            dots = "." * max(3, WIDTH - len(said) - len(event.outcome) - 4)
            line = Text(f"{said} {dots} [")
            line.append(event.outcome, style="dim" if event.event == "family_started" else _GRAVITY[event.level])
            line.append("]")
            self.err.print(line)
        elif event.event in _STYLES:
            self.err.print(Text(event.text or event.message, style=_STYLES[event.event]))


def _bars(console: RichConsole) -> Bars:
    from modelfactory.cli.bars import Bars

    return Bars(console)


def _styled(text: str) -> Text:
    styled = Text(text)
    styled.highlight_regex(r"^error\[MF\d+\]", "bold red")
    styled.highlight_regex(r"^warning\[MF\d+\]", "bold yellow")
    styled.highlight_regex(r"(?m)^(help|note):", "bold cyan")
    styled.highlight_regex(r"(?m)^ *(-->|\d* ?\|)", "blue")
    styled.highlight_regex(r"(?m)\^+$", "bold red")
    return styled
