"""Families that read each other's group tables, stand in for each other, or have had another name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support import load, workspace_of, write_project

from modelfactory.diagnostics import InputError
from modelfactory.plan.graph import project_graph

BASE = {"group_by": ["k", "j"], "source": "s", "features": ["x"], "label": "y", "estimator": "Ridge"}


def project(folder: Path, *families: dict[str, Any], moved: list[dict[str, str]] | None = None) -> Path:
    whole = [{**BASE, **family} for family in families]
    for family in whole:
        if "sql" in family:
            del family["source"]
    document = {"sources": [{"name": "s", "path": "x.parquet"}], "families": whole, "moved": moved or []}
    return write_project(folder, {"families/f.yml": yaml.safe_dump(document, sort_keys=False)})


def mistakes(folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as raised:
        workspace_of(folder)
    return [(str(d.code), d.message) for d in raised.value.diagnostics]


def reads(*names: str) -> str:
    return " union all ".join(f"select * from {{{{ ref('{name}') }}}}" for name in names)


def test_a_family_is_built_behind_those_that_it_reads(tmp_path: Path) -> None:
    folder = project(
        tmp_path, {"name": "top", "sql": reads("mid", "low")}, {"name": "mid", "sql": reads("low")}, {"name": "low"}
    )
    steps = workspace_of(folder).plan.steps
    assert [(step.family, step.refs) for step in steps] == [("low", ()), ("mid", ("low",)), ("top", ("mid", "low"))]
    assert [step.family for step in workspace_of(folder, "top").plan.steps] == ["top"]


def test_the_fingerprint_of_parents_changes_with_any_of_them(tmp_path: Path) -> None:
    def prints(name: str, **low: Any) -> dict[str, tuple[str, str]]:
        folder = project(
            tmp_path / name,
            {"name": "top", "sql": reads("mid")},
            {"name": "mid", "sql": reads("low")},
            {"name": "low", **low},
        )
        steps = workspace_of(folder).plan.steps
        return {step.family: (step.definition_fingerprint, step.parents_fingerprint) for step in steps}

    one, other = prints("a"), prints("b", seed=1)
    assert one["low"][1] == ""
    assert one["low"][0] != other["low"][0]
    for name in ("mid", "top"):
        assert one[name][0] == other[name][0]
        assert one[name][1] != other[name][1]
    assert prints("c", description="told") == one


@pytest.mark.parametrize(
    ("families", "circle"),
    [
        ([{"name": "a", "sql": reads("a")}], "a → a"),
        ([{"name": "a", "sql": reads("b")}, {"name": "b", "sql": reads("a")}], "a → b → a"),
        ([{"name": "a", "fallback": "b"}, {"name": "b", "fallback": "a"}], "a → b → a"),
        ([{"name": "a", "fallback": "a"}], "a → a"),
        ([{"name": "a", "fallback": "b"}, {"name": "b", "sql": reads("a")}], "a → b → a"),
    ],
)
def test_a_circle_is_one_mistake_that_shows_it(tmp_path: Path, families: list[dict[str, Any]], circle: str) -> None:
    ((code, message),) = mistakes(project(tmp_path, *families))
    assert code == "MF215"
    names = circle.split(" → ")[:-1]
    turned = [" → ".join([*names[n:], *names[:n], names[n]]) for n in range(len(names))]
    assert message.removeprefix("families depend on each other in a circle: ") in turned


def test_two_circles_are_two_mistakes(tmp_path: Path) -> None:
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    found = mistakes(project(tmp_path, *({"name": name, "fallback": other} for name, other in pairs)))
    assert [code for code, _ in found] == ["MF215", "MF215"]


def test_the_groups_of_a_fallback_are_made_of_whole_groups(tmp_path: Path) -> None:
    assert (
        workspace_of(project(tmp_path / "good", {"name": "a", "fallback": "b"}, {"name": "b", "group_by": ["K"]}))
        .plan.steps[0]
        .fallback
        == "b"
    )
    found = mistakes(project(tmp_path / "bad", {"name": "a", "fallback": "b"}, {"name": "b", "group_by": ["k", "z"]}))
    assert found == [("MF211", "family `b` cannot stand in: it is grouped by `z`, and this one is not")]


def test_a_chain_of_fallbacks_may_end_in_the_rows_of_all_groups(tmp_path: Path) -> None:
    chain = {"name": "a", "fallback": "b"}, {"name": "b", "group_by": ["k"], "fallback": "global"}
    a, b = workspace_of(project(tmp_path, *chain)).plan.steps
    assert (a.fallback, a.parents, a.has_global_model) == ("b", ("b",), False)
    assert (b.fallback, b.parents, b.has_global_model) == ("global", (), True)
    graph, broken = project_graph(load(tmp_path), {})
    assert graph.parents["b"] == ("source:s",)
    assert not broken


@pytest.mark.parametrize("name", ["global", "Global"])
def test_no_family_is_called_as_the_rows_of_all_groups(tmp_path: Path, name: str) -> None:
    ((code, message),) = mistakes(project(tmp_path, {"name": name}, {"name": "a", "fallback": "global"}))
    assert code == "MF211"
    assert message.startswith(f"a family cannot be called `{name}`")


CLASSIFIER = {"estimator": "LogisticRegression"}
CLUSTERS = {"estimator": "KMeans", "label": None}


@pytest.mark.parametrize(
    ("own", "other", "kinds"),
    [
        ({}, CLASSIFIER, ("classification", "regression")),
        (CLASSIFIER, {}, ("regression", "classification")),
        ({}, CLUSTERS, ("unsupervised", "regression")),
        (CLUSTERS, CLASSIFIER, ("classification", "unsupervised")),
    ],
)
def test_what_stands_in_answers_the_same_kind_of_question(
    tmp_path: Path, own: dict[str, Any], other: dict[str, Any], kinds: tuple[str, str]
) -> None:
    found = mistakes(project(tmp_path, {"name": "a", "fallback": "b", **own}, {"name": "b", **other}))
    message = f"family `b` cannot stand in: it is {kinds[0]}, and this one is {kinds[1]}"
    assert found == [("MF211", message)]


def test_another_label_of_what_stands_in_is_a_warning(tmp_path: Path) -> None:
    folder = project(tmp_path, {"name": "a", "fallback": "b"}, {"name": "b", "label": "z"}, {"name": "c", "label": "Y"})
    workspace = workspace_of(folder)
    assert [step.family for step in workspace.plan.steps] == ["a", "b", "c"]
    assert [d.message for d in workspace.warnings] == [
        "family `b`, which stands in, learns `z`, and this one learns `y`"
    ]
    file = folder / "families/f.yml"
    file.write_text(file.read_text().replace("fallback: b", "fallback: c"))
    assert not workspace_of(folder).warnings


def test_families_that_are_not_there_have_a_nearest_name(tmp_path: Path) -> None:
    folder = project(tmp_path, {"name": "weak", "fallback": "strnog"}, {"name": "strong", "sql": reads("weka")})
    with pytest.raises(InputError) as raised:
        workspace_of(folder)
    said = [d.text() for d in raised.value.diagnostics]
    assert "error[MF214]: unknown family `strnog`" in said[0]
    assert "did you mean `strong`?" in said[0]
    assert "did you mean `weak`?" in said[1]


def test_what_is_declared_with_a_mistake_is_not_unknown(tmp_path: Path) -> None:
    found = mistakes(project(tmp_path, {"name": "a", "fallback": "b"}, {"name": "b", "seed": "many"}))
    assert [code for code, _ in found] == ["MF202"]


def test_a_family_knows_its_former_names(tmp_path: Path) -> None:
    moved = [{"from": "b", "to": "c"}, {"from": "a", "to": "b"}]
    assert list(load(project(tmp_path, {"name": "c"}, moved=moved)).former_names("c")) == ["b", "a"]


@pytest.mark.parametrize(
    ("moved", "message"),
    [
        ([{"from": "c", "to": "d"}], "family `c` is still declared"),
        ([{"from": "a", "to": "d"}], "there is no family `d`"),
        ([{"from": "a", "to": "b"}, {"from": "b", "to": "a"}], "there is no family `a`"),
        ([{"from": "a", "to": "c"}, {"from": "b", "to": "c"}], "a family is moved twice"),
        ([{"from": "a", "to": "c"}, {"from": "a", "to": "e"}], "a family is moved twice"),
        ([{"form": "a", "to": "c"}], "unknown key `form`"),
    ],
)
def test_moves_lead_to_families(tmp_path: Path, moved: list[dict[str, str]], message: str) -> None:
    found = mistakes(project(tmp_path, {"name": "c"}, {"name": "e"}, moved=moved))
    assert message in [text for _, text in found]
