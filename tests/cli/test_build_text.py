"""What a build says of its families."""

from __future__ import annotations

import io

from modelfactory.cli.console import Console
from modelfactory.commands.report import BuildResult, FamilyResult


def said(*families: FamilyResult) -> list[str]:
    console, out = Console(), io.StringIO()
    console.err.file = out
    for number, family in enumerate(families, 1):
        console.family_finished(number, len(families), family)
    console.build_finished(BuildResult(run_id="r", families=families, seconds=1.0))
    return out.getvalue().splitlines()


def test_it_says_why_groups_were_tried_and_which_stand() -> None:
    first = FamilyResult(
        family="new", status="success", version=1, statuses={"trained": 3}, reasons={"new": 3}, seconds=1.0
    )
    again = FamilyResult(
        family="again",
        status="success",
        version=4,
        statuses={"trained": 2, "reused": 8, "failed": 1},
        reasons={"data_changed": 2, "new": 1, "unchanged": 7, "vanished": 1},
        other_libraries=7,
        seconds=2.0,
    )
    stands = FamilyResult(family="f", status="reused", version=2, statuses={"reused": 4, "null_key": 1}, seconds=0.5)
    lines = said(first, again, stands)
    assert [line for line in lines if line.startswith("    ")] == [
        "    tried: 2 data_changed, 1 new; 1 vanished and kept",
        "    7 groups stand with models of other libraries; "
        "`retrain_on: [environment]` or --full-refresh trains them again",
    ]
    assert lines[0].endswith("[v1: 3 trained in 1.0s]")
    assert lines[-2].startswith("3 of 3 REUSED family f ...")
    assert lines[-2].endswith("[v2: 5 groups unchanged in 0.5s]")
    assert lines[-1] == (
        "Done. PASS=1 WARN=1 ERROR=0 SKIP=0 REUSED=1 TOTAL=3 | GROUPS trained=5 reused=12 skipped=1 failed=1"
    )
