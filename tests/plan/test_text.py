"""The plan as text: snapshots of the example projects, and what the text must tell.

`pytest tests/plan/test_text.py --update-snapshots` writes the snapshots anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support import PROJECTS, workspace_of, write_project

from modelfactory.plan.text import WIDTH, plan_text

SNAPSHOTS = Path(__file__).parent / "snapshots"


def without_defaults(text: str) -> str:
    """Leave out the defaults of classes: they change with the version of scikit-learn."""
    lines: list[str] = []
    inside = -1
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("defaults: "):
            inside = indent
            continue
        if inside >= 0 and indent > inside:
            continue
        inside = -1
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("project", ["flights", "gapminder"])
def test_the_plan_of_an_example_project_is_as_reviewed(project: str, request: pytest.FixtureRequest) -> None:
    text = without_defaults(plan_text(workspace_of(PROJECTS / project).plan))
    snapshot = SNAPSHOTS / f"{project}.txt"
    if request.config.getoption("--update-snapshots"):
        snapshot.write_text(text, encoding="utf-8")
    assert text == snapshot.read_text(encoding="utf-8")


@pytest.fixture
def text(tmp_path: Path) -> str:
    """The text of a plan with most that a family can have."""
    folder = write_project(
        tmp_path,
        {
            "families/f.yml": """\
                sources: [{name: s, path: data.csv, format: csv, options: {header: true}}]
                families:
                - name: f
                  group_by: [k, j]
                  source: s
                  where: y is not null
                  features: [x, {name: c, kind: categorical}]
                  label: y
                  weight: w
                  estimator: {class: Ridge, params: {alpha: 2.5}}
                  preprocess: {categorical: OneHotEncoder}
                  evaluate: {by_time: {column: day, last: 0.25}, metrics: [rmse], refit: true}
                  min_rows: 1000
                  max_rows: 20000
                  timeout: 10m
                  max_failed: 3
                  null_keys: group
                  seed: 7
            """
        },
    )
    return plan_text(workspace_of(folder).plan)


@pytest.mark.parametrize(
    "told",
    [
        "family f\n",
        "    select k, j, x, c, y, w, day\n    from mf_source_s\n    where y is not null\n",
        "source s: csv data.csv header=true",
        "pandas DataFrame",
        "Ridge(alpha=2.5)",
        "categorical [c]: OneHotEncoder()",
        "numeric [x]: passthrough",
        "rmse and the baseline, measured on the latest 25% of the rows of each group by day; fitted again on all rows",
        "by k, j; 1,000 to 20,000 rows, at most 600 s each; null keys are a group; at most 3 may fail; seed 7",
        "group table: k, j, status string",
    ],
)
def test_the_text_tells_what_will_be_done(text: str, told: str) -> None:
    assert " ".join(told.split()) in " ".join(text.split())


def test_lines_fit_a_screen_and_have_no_blanks_at_the_end(text: str) -> None:
    for line in text.splitlines():
        assert len(line) <= WIDTH
        assert line == line.rstrip()


def test_families_are_apart_by_an_empty_line() -> None:
    text = plan_text(workspace_of(PROJECTS / "gapminder").plan)
    assert [part.splitlines()[0] for part in text.split("\n\n")] == [
        "family life_exp_by_country",
        "family life_exp_by_continent",
        "family kinds_of_country_by_year",
    ]


@pytest.mark.parametrize(
    ("written", "shown"), [("1%", "at most 1% may fail"), ("0.125", "12.5%"), ("0", "at most 0 may")]
)
def test_the_failure_budget_is_told_exactly(tmp_path: Path, written: str, shown: str) -> None:
    folder = write_project(
        tmp_path,
        {
            "families/f.yml": "sources: [{name: s, path: x}]\n"
            "families: [{name: f, group_by: k, source: s, features: x, "
            f"label: y, estimator: Ridge, max_failed: {written}}}]\n"
        },
    )
    assert shown in plan_text(workspace_of(folder).plan)


@pytest.mark.parametrize("share", [0.005, 0.125])
def test_a_share_of_rows_is_not_rounded_away(tmp_path: Path, share: float) -> None:
    folder = write_project(
        tmp_path,
        {
            "families/f.yml": "sources: [{name: s, path: x}]\n"
            "families: [{name: f, group_by: k, source: s, features: x, "
            f"label: y, estimator: Ridge, evaluate: {{holdout: {share}}}}}]\n"
        },
    )
    assert f"{share * 100:g}% of the rows" in " ".join(plan_text(workspace_of(folder).plan).split())
