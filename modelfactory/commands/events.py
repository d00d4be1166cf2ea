"""What commands tell, as events: lines of `--log-format json` and of `target/logs/mf.log`, and what a terminal shows.

Every event has the keys `time`, `level`, `event`, `message` and `run_id`; `event` names its kind and decides what other
keys there are. They are listed in `docs/concepts.md`.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from modelfactory.commands.report import (
    GROUP_COUNTS,
    BuildResult,
    ExportResult,
    FamilyResult,
    Fault,
    JudgedFamily,
    Judgement,
    ScoreResult,
)
from modelfactory.diagnostics import Diagnostic, Severity, counted, hide, shortened
from modelfactory.plan.outcomes import STANDING, BuildReason
from modelfactory.testing.results import TestResult, Verdict

if TYPE_CHECKING:
    from modelfactory.commands.workspace import Workspace

Level = Literal["debug", "info", "warning", "error"]
FAULT_WIDTH = 160
"""Characters of a fault's reason on a terminal."""
PROGRESS_SECONDS = 10.0
"""Seconds between two events of a family's progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a command tells.

    Attributes:
        event: name of its kind.
        level: how grave it is.
        message: what a person reads.
        outcome: what came of it, in brackets behind the message.
        text: what stands on a terminal in the place of the message.
        run_id: the run it belongs to, if there is one.
        fields: what else programs want to know.
    """

    event: str
    level: Level = "info"
    message: str
    outcome: str | None = None
    text: str | None = None
    run_id: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def line(self, *, shown_as: Mapping[str, str] | None = None) -> str:
        """Return the event as one line of JSON, stamped with the time.

        Args:
            shown_as: values that must not be in it, and what stands there instead.
        """
        said = {"message": self.message + (f" [{self.outcome}]" if self.outcome else "")}
        document = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": self.level,
            "event": self.event,
            **json_value(said, shown_as or {}),
            "run_id": self.run_id,
            **json_value(self.fields, shown_as or {}),
        }
        return json.dumps(document, allow_nan=False)


class Events:
    """Turns what is reported into events. The `Reporter` of a build, apart from bars.

    Args:
        hear: takes every event.
    """

    def __init__(self, hear: Callable[[Event], None]) -> None:
        self._hearers = [hear]
        self._run_id: str | None = None
        self._places: dict[str, str] = {}
        self._scheduled: dict[str, tuple[int, float]] = {}
        self._lock = threading.RLock()  # families that are built at once report from their own threads

    def also(self, hear: Callable[[Event], None]) -> None:
        """Give every event from now on to one more."""
        self._hearers.append(hear)

    def tell(
        self,
        event: str,
        message: str,
        *,
        level: Level = "info",
        outcome: str | None = None,
        text: str | None = None,
        **fields: Any,
    ) -> None:
        """Tell one thing."""
        with self._lock:
            told = Event(
                event=event,
                level=level,
                message=message,
                outcome=outcome,
                text=text,
                run_id=self._run_id,
                fields=fields,
            )
            for hear in self._hearers:
                hear(told)

    def diagnostics(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Tell diagnostics."""
        for diagnostic in diagnostics:
            place = diagnostic.position
            self.tell(
                "diagnostic",
                diagnostic.message,
                level="error" if diagnostic.severity == Severity.ERROR else "warning",
                text=diagnostic.text(),
                code=str(diagnostic.code),
                file=diagnostic.file,
                line=place.line if place else None,
                column=place.column if place else None,
                help=diagnostic.help,
            )

    # Reporter -------------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Tell something worth a line."""
        self.tell("note", text)

    def warn(self, warnings: Sequence[Diagnostic]) -> None:
        """Tell what is not wrong but probably not meant."""
        self.diagnostics(warnings)

    def opened(self, workspace: Workspace) -> None:
        """Tell which selector chose the families unasked, and what is not wrong but probably not meant."""
        if workspace.by_default is not None:
            self.note(f"families of the default selector `{workspace.by_default}`")
        self.warn(workspace.warnings)

    def run_started(self, run_id: str, master: str) -> None:
        """Tell that Spark is being started, and give later events the run's name."""
        self._run_id = run_id
        how = "connecting to" if master.startswith("sc://") else "starting Spark on"
        self.tell("run_started", f"Run {run_id}: {how} {master}", master=master)

    def timings(self, seconds: Mapping[str, float], family: str | None = None) -> None:
        """Tell how long parts of a run or of a family took."""
        said = ", ".join(f"{part} {taken:.2f}s" for part, taken in seconds.items())
        fields: dict[str, Any] = {f"{part}_seconds": round(taken, 3) for part, taken in seconds.items()}
        self.tell("timings", said, level="debug", family=family, **fields)

    def family_started(self, index: int, total: int, family: str) -> None:
        """Tell that the census of a family begins."""
        self._places[family] = f"{index} of {total}"
        self.tell("census_started", f"{index} of {total} census of family {family}", level="debug", family=family)

    def family_scheduled(self, family: str, groups: int, to_train: int) -> None:
        """Tell that the training of a family begins."""
        self._scheduled[family] = (to_train, time.monotonic())
        self.tell(
            "family_started",
            f"{self._places[family]} START family {family} ({groups:,} groups)",
            outcome="RUN",
            family=family,
            n_groups=groups,
            n_to_train=to_train,
        )

    def family_progress(self, family: str, done: int) -> None:
        """Tell how far a family is, now and then."""
        to_train, told = self._scheduled[family]
        if time.monotonic() - told >= PROGRESS_SECONDS:
            self._scheduled[family] = (to_train, time.monotonic())
            said = f"{self._places[family]} family {family}: {done:,} of {to_train:,} groups"
            self.tell("family_progress", said, family=family, n_done=done, n_to_train=to_train)

    def family_finished(self, index: int, total: int, result: FamilyResult) -> None:
        """Tell what came of a family."""
        with self._lock:  # what belongs to one family stays together
            level, word, outcome = _ending(result)
            self.tell(
                "family_finished",
                f"{index} of {total} {word} family {result.family}",
                level=level,
                outcome=outcome,
                family=result.family,
                status=result.status,
                version=result.version,
                trial=result.trial,
                seconds=round(result.seconds, 3),
                groups=dict(result.statuses),
                exit_code=result.exit_code,
            )
            self._reasons(result)
            self._tests(result.family, result.version, result.tests)
            for fault in result.faults:
                self._fault(result, fault, level)
            if result.global_fault is not None:
                self._fault(result, result.global_fault, "warning" if result.status == "success" else level)
            if result.rows_without_label:
                said = f"{counted(result.rows_without_label, 'row')} without a label left out"
                rows = result.rows_without_label
                self.tell("rows_without_label", said, text=f"    {said}", family=result.family, n_rows=rows)
            self.diagnostics(result.diagnostics)

    def _reasons(self, result: FamilyResult) -> None:
        """Tell why groups were trained, where not all are new, and what stands for a reason of its own."""
        tried = {reason: n for reason, n in result.reasons.items() if reason not in STANDING}
        vanished = result.reasons.get(BuildReason.VANISHED, 0)
        said = ", ".join(f"{n:,} {reason}" for reason, n in sorted(tried.items(), key=lambda item: -item[1]))
        parts = [f"tried: {said}"] if tried and tried.keys() != {BuildReason.NEW} else []
        parts += [f"{vanished:,} vanished and kept"] if vanished else []
        if parts:
            said = "; ".join(parts)
            fields: dict[str, Any] = {"family": result.family, "reasons": dict(result.reasons)}
            self.tell("reasons", said, text=f"    {said}", **fields)
        if result.other_libraries:
            said = (
                f"{counted(result.other_libraries, 'group')} stand with models of other libraries; "
                "`retrain_on: [environment]` or --full-refresh trains them again"
            )
            n = result.other_libraries
            self.tell("other_libraries", said, text=f"    {said}", family=result.family, n_groups=n)

    def _fault(self, result: FamilyResult, fault: Fault, level: Level) -> None:
        key = ", ".join(f"{column}={value}" for column, value in fault.example.items())
        reason = ": ".join(part for part in (fault.error_type, fault.error) if part)
        said = f"{fault.count:,} {fault.status}, such as {key}: " if key else f"global model {fault.status}: "
        self.tell(
            "fault",
            said + reason,
            level=level,
            text=f"    {said}{shortened(reason, FAULT_WIDTH)}",
            family=result.family,
            status=fault.status,
            n_groups=fault.count,
            key=dict(fault.example),
            error_type=fault.error_type,
            error=fault.error,
        )

    def build_finished(self, result: BuildResult) -> None:
        """Tell that all families are through."""
        families = result.families
        warned = sum(f.warns for f in families)
        counts = {
            "pass": sum(f.status == "success" for f in families) - warned,
            "warn": warned,
            "error": sum(f.status == "error" for f in families),
            "skip": sum(f.status == "skipped" for f in families),
            "reused": sum(f.status == "reused" for f in families),
            "total": len(families),
        }
        groups = {kind: sum(f.count(of=kind) for f in families) for kind in GROUP_COUNTS}
        self.tell(
            "build_finished",
            f"Done. {' '.join(f'{name.upper()}={n}' for name, n in counts.items())} | "
            f"GROUPS {' '.join(f'{kind}={n}' for kind, n in groups.items())}",
            seconds=round(result.seconds, 3),
            exit_code=result.exit_code,
            families=counts,
            groups=groups,
        )

    def family_tested(self, index: int, total: int, result: JudgedFamily) -> None:
        """Tell what came of the tests of a family."""
        place = f"{index} of {total}"
        fields: dict[str, Any] = {
            "family": result.family,
            "version": result.version,
            "seconds": round(result.seconds, 3),
        }
        if result.version is None:
            said = f"{place} SKIP family {result.family}"
            self.tell("family_tested", said, level="warning", outcome="never built", tests={}, **fields)
            return
        found = Counter(test.status for test in result.tests)
        grave = next(status for status in _WORDS if found[status])
        self.tell(
            "family_tested",
            f"{place} {_WORDS[grave][0]} family {result.family} v{result.version}",
            level=_WORDS[grave][1],
            outcome=f"{', '.join(f'{n:,} {status}' for status, n in found.items())} in {result.seconds:.1f}s",
            tests=dict(found),
            **fields,
        )
        self._tests(result.family, result.version, result.tests)

    def _tests(self, family: str, version: int | None, tests: Sequence[TestResult]) -> None:
        for number, test in enumerate(tests, start=1):
            word, level = _WORDS[test.status]
            said = f"{number} of {len(tests)} {word} {test.name}"
            such = ", ".join(f"{column}={value}" for column, value in (test.failing[0] if test.failing else {}).items())
            self.tell(
                "test_finished",
                said,
                level=level,
                outcome=test.message + (f", such as {such}" if such else ""),
                text=f"    {said}",
                family=family,
                version=version,
                **document_of(test),
            )

    def tests_finished(self, result: Judgement) -> None:
        """Tell that the tests of all families are judged."""
        found = Counter(test.status for family in result.families for test in family.tests)
        counts = {
            "pass": found["pass"],
            "warn": found["warn"],
            "error": found["fail"] + found["error"],
            "skip": found["skipped"],
            "total": sum(found.values()),
        }
        said = f"Done. {' '.join(f'{name.upper()}={n}' for name, n in counts.items())}"
        seconds = round(result.seconds, 3)
        self.tell("tests_finished", said, seconds=seconds, exit_code=result.exit_code, tests=counts)

    def scoring_started(self, family: str, version: int, rows: str) -> None:
        """Tell that a version of a family begins to score."""
        self._scheduled[family] = (0, time.monotonic())
        said = f"SCORE {rows} by family {family} v{version}"
        self.tell("scoring_started", said, outcome="RUN", family=family, version=version, input=rows)

    def scoring_progress(self, family: str, rows: int) -> None:
        """Tell how many rows are written, now and then."""
        _, told = self._scheduled[family]
        if time.monotonic() - told >= PROGRESS_SECONDS:
            self._scheduled[family] = (0, time.monotonic())
            self.tell(
                "scoring_progress", f"{rows:,} rows by family {family}", level="debug", family=family, n_rows=rows
            )

    def scoring_finished(self, result: ScoreResult) -> None:
        """Tell how the rows were answered."""
        served = ", ".join(f"{n:,} {name}" for name, n in result.served_by.items() if n)
        why = ", ".join(f"{reason} {n:,}" for reason, n in sorted(result.reasons.items(), key=lambda item: -item[1]))
        said = f"Done. {counted(result.rows, 'row')} to {result.output} in {result.seconds:.1f}s: {served or 'nothing'}"
        self.tell(
            "scoring_finished",
            said + (f" | {why}" if why else ""),
            text=said + (f"\n    {why}" if why else ""),
            family=result.family,
            version=result.version,
            output=result.output,
            n_rows=result.rows,
            served_by=dict(result.served_by),
            reasons=dict(result.reasons),
            seconds=round(result.seconds, 3),
        )

    def export_finished(self, result: ExportResult) -> None:
        """Tell how many models were written."""
        self.tell(
            "export_finished",
            f"Done. {result.format} to {result.output} in {result.seconds:.1f}s: {result.exported:,} exported, "
            f"{result.without_model:,} without a model, {result.refused:,} cannot be converted",
            family=result.family,
            version=result.version,
            format=result.format,
            output=result.output,
            exported=result.exported,
            without_model=result.without_model,
            refused=result.refused,
            seconds=round(result.seconds, 3),
        )


_WORDS: Mapping[Verdict, tuple[str, Level]] = MappingProxyType(
    {
        "error": ("ERROR", "error"),
        "fail": ("FAIL", "error"),
        "warn": ("WARN", "warning"),
        "pass": ("PASS", "info"),
        "skipped": ("SKIP", "info"),
    }
)
"""How the result of a test is told, gravest first."""


def document_of(test: TestResult) -> dict[str, Any]:
    """Return what came of a test as plain data, in events and documents."""
    return {
        "test": test.name,
        "kind": test.kind,
        "severity": test.severity,
        "status": test.status,
        "why": test.message,
        "n_failing": test.n_failing,
        "failing": [dict(key) for key in test.failing],
    }


def _ending(result: FamilyResult) -> tuple[Level, str, str]:
    """Return how grave the end of a family is, the word for it, and what came of it."""
    failed = result.count(of="failed")
    match result.status:
        case "skipped":
            return "warning", "SKIP", "SKIP"
        case "error":
            why = "not built"
            wrong = sum(test.holds_back for test in result.tests)
            if wrong:
                why = f"not published: {wrong:,} of {counted(len(result.tests), 'test')} failed"
            elif result.statuses:
                why = f"not published: {failed:,} failed" if failed else "not published: no models"
            return "error", "ERROR", f"{why} in {result.seconds:.1f}s"
        case "reused":
            n = sum(result.statuses.values())
            return "info", "REUSED", f"v{result.version}: {counted(n, 'group')} unchanged in {result.seconds:.1f}s"
        case "success":
            counts = [(result.count(of=kind), kind) for kind in GROUP_COUNTS]
            said = ", ".join(f"{n:,} {kind}" for n, kind in counts if n)
            level: Level = "warning" if result.warns else "info"
            what = f"v{result.version}: {said}" if result.trial is None else f"sample: {said}"
            what = "fits together on no rows" if result.trial == "empty" else what
            return level, "WARN" if result.warns else "OK", f"{what} in {result.seconds:.1f}s"


def json_value(value: Any, shown_as: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Return a value as JSON has it, null for numbers that JSON does not have, without what is not to be shown."""
    match value:
        case Mapping():
            return {str(key): json_value(item, shown_as) for key, item in value.items()}
        case list() | tuple():
            return [json_value(item, shown_as) for item in value]
        case float() if not math.isfinite(value):
            return None
        case None | bool() | int() | float():
            return value
        case _:
            return hide(str(value), shown_as)
