"""Selection: a space is or, a comma is and, exclusion takes away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.diagnostics import InputError
from modelfactory.project.selection import select_families


def family(name: str, path: str, *tags: str) -> Any:
    return SimpleNamespace(name=name, path=path, spec=SimpleNamespace(tags=tags))


FAMILIES = (
    family("by_dest", "families/arrival/routes.yml", "nightly", "routes"),
    family("by_route", "families/arrival/routes.yml", "routes"),
    family("by_plane", "families/arrival/planes.toml", "nightly", "planes"),
    family("late", "families/late.yml", "night-shift"),
)


def chosen(*select: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [f.name for f in select_families(FAMILIES, select, exclude)]


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("late", ["late"]),
        ("name:late", ["late"]),
        ("by_*", ["by_dest", "by_route", "by_plane"]),
        ("by_?????", ["by_route", "by_plane"]),
        ("by_[dr]*", ["by_dest", "by_route"]),
        ("tag:nightly", ["by_dest", "by_plane"]),
        ("tag:night*", ["by_dest", "by_plane", "late"]),
        ("path:families", ["by_dest", "by_route", "by_plane", "late"]),
        ("path:families/arrival", ["by_dest", "by_route", "by_plane"]),
        ("path:./families/arrival/", ["by_dest", "by_route", "by_plane"]),
        ("path:families/arrival/planes.toml", ["by_plane"]),
        ("path:families/*.yml", ["by_dest", "by_route", "late"]),
        ("path:arrival", []),
        ("late by_plane", ["by_plane", "late"]),
        ("tag:nightly,tag:routes", ["by_dest"]),
        ("tag:planes tag:nightly,tag:routes", ["by_dest", "by_plane"]),
        ("nothing", []),
        ("LATE", []),
        ("tag:nope", []),
    ],
)
def test_selectors_choose_in_the_order_of_the_project(select: str, names: list[str]) -> None:
    assert chosen(select) == names


def test_no_selector_chooses_all() -> None:
    assert chosen() == [f.name for f in FAMILIES]


def test_exclusion_alone_takes_away_from_all() -> None:
    assert chosen(exclude=("tag:routes", "late")) == ["by_plane"]


@pytest.mark.parametrize("selector", ["tga:nightly", "TAG:nightly", ":late", "tag:nightly,tga:x"])
def test_an_unknown_method_is_a_mistake_that_names_the_known_ones(selector: str) -> None:
    with pytest.raises(InputError, match="`tag`"):
        chosen(selector)


@pytest.mark.parametrize("selector", ["+late", "late+", "2+late+1", "@late"])
def test_a_family_is_part_of_its_own_graph(selector: str) -> None:
    assert "late" in chosen(selector)


# Laws ------------------------------------------------------------------------------------------------------------

_words = st.sampled_from(["a", "b", "c", "ab"])
_families = st.lists(
    st.builds(
        family,
        st.text("abc", min_size=1, max_size=3),
        st.builds(lambda parts, name: "/".join([*parts, f"{name}.yml"]), st.lists(_words, max_size=2), _words),
        _words,
        _words,
    ),
    max_size=8,
    unique_by=lambda f: f.name,
)
_criterion = st.one_of(
    st.text("abc*?", min_size=1, max_size=3),
    _words.map(lambda word: f"tag:{word}"),
    st.sampled_from(["tag:*", "tag:a*", "path:a", "path:b/c", "path:*"]),
)
_term = st.lists(_criterion, min_size=1, max_size=3).map(",".join)


def names(families: list[Any], select: list[str], exclude: tuple[str, ...] = ()) -> set[str]:
    return {f.name for f in select_families(families, select, exclude)}


@settings(max_examples=100, deadline=None)
@given(_families, _term, _term)
def test_a_space_and_a_second_argument_are_both_a_union(families: list[Any], one: str, other: str) -> None:
    union = names(families, [one]) | names(families, [other])
    assert names(families, [f"{one} {other}"]) == names(families, [one, other]) == union


@settings(max_examples=100, deadline=None)
@given(_families, _term, _term)
def test_a_comma_is_an_intersection(families: list[Any], one: str, other: str) -> None:
    assert names(families, [f"{one},{other}"]) == names(families, [one]) & names(families, [other])


@settings(max_examples=100, deadline=None)
@given(_families, _term, _term)
def test_exclusion_is_a_difference(families: list[Any], one: str, other: str) -> None:
    assert names(families, [one], (other,)) == names(families, [one]) - names(families, [other])
    assert names(families, [], (other,)) == {f.name for f in families} - names(families, [other])


@settings(max_examples=100, deadline=None)
@given(_families, _term, _term)
def test_the_order_of_selectors_does_not_matter_and_that_of_the_project_stays(
    families: list[Any], one: str, other: str
) -> None:
    chosen = select_families(families, [one, other])
    assert chosen == select_families(families, [other, one])
    assert [f for f in families if f in chosen] == list(chosen)
