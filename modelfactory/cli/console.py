"""Write to the terminal: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from modelfactory.cli.options import LogFormat
from modelfactory.commands.report import GROUP_COUNTS, BuildResult, FamilyResult
from modelfactory.diagnostics import Diagnostic, MfError, counted

if TYPE_CHECKING:
    from modelfactory.cli.bars import Bars

WIDTH = 88
_PLAIN_WIDTH = 200
FAULT_WIDTH = 160


class Console:
    """Where a command writes. Also the `Reporter` of a build.

    Args:
        log_format: how to write to stderr.
        quiet: write errors only.
        debug: show tracebacks.
    """

    def __init__(self, *, log_format: LogFormat = LogFormat.TEXT, quiet: bool = False, debug: bool = False) -> None:
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
        self._places: dict[str, str] = {}
        self._lock = threading.RLock()

    def data(self, text: str) -> None:
        """Write data to stdout as it is."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def lines(self, values: Iterable[str]) -> None:
        """Write one value a line to stdout."""
        for value in values:
            self.data(value)

    def json_lines(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write one JSON object a line to stdout."""
        for row in rows:
            self.data(json.dumps(_finite(row), default=str, ensure_ascii=False, allow_nan=False))

    # Messages ---------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Write a line, unless quiet."""
        self._say("note", text, style="dim")

    def warn(self, texts: Iterable[str]) -> None:
        """Write warnings, unless quiet."""
        for text in texts:
            self._say("warning", f"warning: {text}", style="yellow")

    def table(self, table: Table) -> None:
        """Write a table to stdout, without blanks at the ends of lines."""
        with self.out.capture() as captured:
            self.out.print(table)
        self.data("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))

    def diagnostics(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Write diagnostics."""
        for diagnostic in diagnostics:
            if self.json:
                place = diagnostic.position
                self._event(
                    "error",
                    "diagnostic",
                    code=str(diagnostic.code),
                    message=diagnostic.message,
                    file=diagnostic.file,
                    line=place.line if place else None,
                    column=place.column if place else None,
                    help=diagnostic.help,
                )
            else:
                self.err.print(_styled(diagnostic.text()))
        if len(diagnostics) > 1 and not self.json:
            self.err.print(f"{len(diagnostics)} errors", style="bold red")

    def error(self, error: MfError) -> None:
        """Write what an error has to say."""
        if self.debug:
            self.err.print_exception()
        self.diagnostics(error.diagnostics)

    # Reporter ---------------------------------------------------------------------------------------------------

    def family_started(self, index: int, total: int, family: str) -> None:
        """Show that the census of a family runs."""
        with self._lock:
            self._places[family] = f"{index} of {total}"
            if self.err.is_terminal and not self.json and not self.quiet:
                bars = self._bars = self._bars or _bars(self.err)
                bars.begin_census(family, f"{index} of {total} census of {family}")

    def family_scheduled(self, family: str, groups: int, to_train: int) -> None:
        """Say that the training of a family begins."""
        with self._lock:
            if self._bars:
                self._bars.begin_training(family, to_train)
            self._line(
                f"{self._places[family]} START family {family} ({groups:,} groups)",
                "RUN",
                "dim",
                event="family_started",
                family=family,
                groups=groups,
                to_train=to_train,
            )

    def family_progress(self, family: str, done: int) -> None:
        """Move the bar."""
        with self._lock:
            if self._bars:
                self._bars.advance(family, done)

    def family_finished(self, index: int, total: int, result: FamilyResult) -> None:
        """Say what came of a family."""
        with self._lock:
            if self._bars:
                self._bars.end(result.family)
            self._tell(index, total, result)

    def _tell(self, index: int, total: int, result: FamilyResult) -> None:
        fields: dict[str, Any] = {
            "family": result.family,
            "status": result.status,
            "version": result.version,
            "seconds": round(result.seconds, 3),
            "groups": dict(result.statuses),
        }
        failed = result.count(of="failed")
        if result.status == "skipped":
            self._line(
                f"{index} of {total} SKIP family {result.family}",
                "SKIP",
                "yellow",
                "family_finished",
                **fields,
            )
        elif result.status == "error":
            why = (
                f"not published: {f'{failed:,} failed' if failed else 'no models'}" if result.statuses else "not built"
            )
            self._line(
                f"{index} of {total} ERROR family {result.family}",
                f"{why} in {result.seconds:.1f}s",
                "red",
                "family_finished",
                always=True,
                **fields,
            )
        else:
            counts = [(result.count(of=kind), kind) for kind in GROUP_COUNTS]
            said = ", ".join(f"{n:,} {kind}" for n, kind in counts if n)
            word, style = ("WARN", "yellow") if failed else ("OK", "green")
            self._line(
                f"{index} of {total} {word} family {result.family}",
                f"v{result.version}: {said} in {result.seconds:.1f}s",
                style,
                "family_finished",
                **fields,
            )
        for fault in result.faults:
            key = ", ".join(f"{k}={v}" for k, v in fault.example.items())
            reason = ": ".join(part for part in (fault.error_type, fault.error) if part)
            reason = reason if len(reason) <= FAULT_WIDTH else reason[: FAULT_WIDTH - 1] + "…"
            self._say(
                "fault",
                f"    {fault.count:,} {fault.status}, such as {key}: {reason}",
                style="red",
                family=result.family,
            )
        if result.rows_without_label:
            self._say(
                "rows_without_label",
                f"    {counted(result.rows_without_label, 'row')} without a label left out",
                style="dim",
                family=result.family,
            )
        self.diagnostics(result.diagnostics)

    def build_finished(self, result: BuildResult) -> None:
        """Write the last line."""
        self.close()
        families = result.families
        warned = sum(f.status == "success" and f.count(of="failed") > 0 for f in families)
        passed = sum(f.status == "success" for f in families) - warned
        reused = sum(f.count(of="reused") > 0 and not f.count(of="trained") for f in families)
        groups = {kind: sum(f.count(of=kind) for f in families) for kind in GROUP_COUNTS}
        text = (
            f"Done. PASS={passed} WARN={warned} ERROR={sum(f.status == 'error' for f in families)} "
            f"SKIP={sum(f.status == 'skipped' for f in families)} REUSED={reused} TOTAL={len(families)} | "
            f"GROUPS {' '.join(f'{kind}={n}' for kind, n in groups.items())}"
        )
        self._say(
            "build_finished",
            text,
            style="bold",
            run_id=result.run_id,
            seconds=round(result.seconds, 3),
            exit_code=result.exit_code,
        )

    def close(self) -> None:
        """Take the bars off the terminal."""
        with self._lock:
            if self._bars:
                self._bars.stop()
                self._bars = None

    def _line(self, left: str, right: str, style: str, event: str, *, always: bool = False, **fields: Any) -> None:
        if self.json:
            self._event("error" if always else "info", event, **fields)
        elif always or not self.quiet:
            dots = "." * max(3, WIDTH - len(left) - len(right) - 4)
            line = Text(f"{left} {dots} [")
            line.append(right, style=style)
            line.append("]")
            self.err.print(line)

    def _say(self, event: str, text: str, *, style: str, **fields: Any) -> None:
        if self.quiet:
            return
        if self.json:
            self._event("info", event, message=text.strip(), **fields)
        else:
            self.err.print(Text(text, style=style))

    def _event(self, level: str, event: str, **fields: Any) -> None:
        if self.quiet and level != "error":
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        sys.stderr.write(json.dumps({"time": now, "level": level, "event": event, **fields}, default=str) + "\n")


def _finite(value: Any) -> Any:
    """Put null in the place of numbers that JSON does not have."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value


def _bars(console: RichConsole) -> Bars:
    from modelfactory.cli.bars import Bars

    return Bars(console)


def _styled(text: str) -> Text:
    styled = Text(text)
    styled.highlight_regex(r"^error\[MF\d+\]", "bold red")
    styled.highlight_regex(r"(?m)^help:", "bold cyan")
    styled.highlight_regex(r"(?m)^ *(-->|\d* ?\|)", "blue")
    styled.highlight_regex(r"(?m)\^+$", "bold red")
    return styled
