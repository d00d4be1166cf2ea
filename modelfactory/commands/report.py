"""What a running command tells; the console renders it, tests record it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from modelfactory.commands.interrupt import INTERRUPTED
from modelfactory.diagnostics import BuildFailed, Diagnostic
from modelfactory.plan.outcomes import FAULTS, SERVED, Status
from modelfactory.testing.results import TestResult

if TYPE_CHECKING:
    from modelfactory.commands.events import Event
    from modelfactory.commands.workspace import Workspace

FamilyStatus = Literal["success", "reused", "error", "skipped"]
STANDS: frozenset[FamilyStatus] = frozenset({"success", "reused"})
"""Statuses of families whose current version is what it should be."""
GroupCount = Literal["trained", "reused", "skipped", "failed"]
GROUP_COUNTS: tuple[GroupCount, ...] = ("trained", "reused", "skipped", "failed")


def held_back(family: str) -> str:
    """Say where a version of a family is that was not published."""
    return f"`mf show {family} --candidate` shows what came of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault and how many groups it took.

    Attributes:
        status: `failed`, `timed_out` or `crashed`.
        error_type: class of the exception, if any.
        error: its text.
        count: groups with this fault.
        example: key of one of them.
    """

    status: str
    error_type: str | None
    error: str | None
    count: int
    example: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyResult:
    """What came of one family in a build.

    Attributes:
        family: name of the family.
        status: whether a version was published; `reused` if nothing has changed, `skipped` after an earlier failure
            with `--fail-fast`.
        version: number of the version that is current then; None after an error, and of a trial.
        trial: what was built apart from what is published: on a sample, or on no rows.
        seconds: wall time.
        statuses: count of groups by status.
        reasons: count of groups by the reason why they were tried, or stand.
        other_libraries: groups that stand with models of other libraries than those at hand.
        faults: the most frequent faults, most frequent first.
        global_fault: what went wrong with the model of all groups' rows; its count of groups is 0.
        rows_without_label: rows that could not be trained on.
        tests: what came of its declared tests; none where no version was made that could be tested.
        diagnostics: why it is an error.
    """

    family: str
    status: FamilyStatus
    version: int | None = None
    trial: Literal["sample", "empty"] | None = None
    seconds: float = 0.0
    statuses: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    other_libraries: int = 0
    faults: tuple[Fault, ...] = ()
    global_fault: Fault | None = None
    rows_without_label: int = 0
    tests: tuple[TestResult, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    exit_code: int = 0

    @property
    def warns(self) -> bool:
        """Whether it was published and something of it deserves a look: groups that failed, or a test that warns."""
        worth_a_look = self.count(of="failed") > 0 or any(test.status == "warn" for test in self.tests)
        return self.status == "success" and worth_a_look

    def count(self, *, of: GroupCount) -> int:
        """Return the groups trained, reused, skipped by rule, or lost to a fault."""
        match of:
            case "trained" | "reused":
                return self.statuses.get(of, 0)
            case "failed":
                return sum(n for status, n in self.statuses.items() if status in FAULTS)
            case "skipped":
                return sum(n for status, n in self.statuses.items() if Status(status) not in FAULTS | SERVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What came of a build; of one that was interrupted, only the families that had ended."""

    run_id: str
    families: tuple[FamilyResult, ...]
    seconds: float
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 if all was published, else the gravest reason: 130 for an interrupt, 2 for bad input, 1 for failures."""
        return INTERRUPTED if self.interrupted else max((family.exit_code for family in self.families), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFamily:
    """What came of the tests of one family's version.

    Attributes:
        family: name of the family.
        version: number of the version; None if the family was never built.
        tests: what came of each test.
        seconds: wall time.
    """

    family: str
    version: int | None
    tests: tuple[TestResult, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What came of testing the versions of families.

    Attributes:
        families: those that declare tests, in the order of the project.
        seconds: wall time.
    """

    families: tuple[JudgedFamily, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 unless a test fails that is not only told."""
        return BuildFailed.exit_code if any(t.holds_back for family in self.families for t in family.tests) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """What came of scoring a table.

    Attributes:
        family: name of the family.
        version: number of the version that scored.
        output: where the rows are.
        rows: how many.
        served_by: rows by who serves them, `group` first.
        reasons: rows by the reason why it is not the model of their own group.
        seconds: wall time.
    """

    family: str
    version: int
    output: str
    rows: int
    served_by: Mapping[str, int]
    reasons: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What came of an export; every group of the version is counted once.

    Attributes:
        family: name of the family.
        version: number of the version.
        format: what was written.
        output: where it is.
        exported: groups whose model was written.
        without_model: groups that have none.
        refused: groups whose model the format cannot hold.
        seconds: wall time.
    """

    family: str
    version: int
    format: str
    output: str
    exported: int
    without_model: int
    refused: int
    seconds: float


class Reporter(Protocol):
    """Hears what happens while a command runs; families that are built at once report from their own threads."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def warn(self, warnings: Sequence[Diagnostic]) -> None:
        """What is not wrong but probably not meant."""

    def opened(self, workspace: Workspace) -> None:
        """A project is compiled: what of it is worth saying."""

    def run_started(self, run_id: str, master: str) -> None:
        """Spark is being started for a run."""

    def timings(self, seconds: Mapping[str, float], family: str | None = None) -> None:
        """Parts of a run, or of one family, took so many seconds."""

    def also(self, hear: Callable[[Event], None]) -> None:
        """Someone else wants to hear, as an event, everything that is reported from now on."""

    def family_started(self, index: int, total: int, family: str) -> None:
        """Work on a family begins; `index` counts from 1."""

    def family_scheduled(self, family: str, groups: int, to_train: int) -> None:
        """The census of a family is known."""

    def family_progress(self, family: str, done: int) -> None:
        """So many groups of the family are done."""

    def family_finished(self, index: int, total: int, result: FamilyResult) -> None:
        """Work on a family has ended, well or not."""

    def build_finished(self, result: BuildResult) -> None:
        """All families are through."""

    def family_tested(self, index: int, total: int, result: JudgedFamily) -> None:
        """All tests of a family's version are judged; `index` counts from 1."""

    def tests_finished(self, result: Judgement) -> None:
        """The tests of all families are judged."""

    def scoring_started(self, family: str, version: int, rows: str) -> None:
        """A version of a family begins to score the rows of an input."""

    def scoring_progress(self, family: str, rows: int) -> None:
        """So many rows are written."""

    def scoring_finished(self, result: ScoreResult) -> None:
        """All rows are written."""

    def export_finished(self, result: ExportResult) -> None:
        """The models of a family are written."""
