"""References to variables and to the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.project.variables import follow, resolve_environment, substitute

VARIABLES = {"n": 30, "share": 0.5, "yes": True, "text": "a b", "names": ["x", "y"], "nothing": None, "a.b-c": 1}
ENVIRON = {"USER": "ada", "EMPTY": ""}


def replaced(value: Any, key: str = "key") -> Any:
    data, unknown = substitute({key: value}, VARIABLES, ENVIRON)
    assert unknown == []
    return data[key]


@pytest.mark.parametrize(("name", "value"), VARIABLES.items())
def test_a_whole_reference_keeps_the_type_of_the_variable(name: str, value: object) -> None:
    assert replaced(f"${{var:{name}}}") == value
    assert type(replaced(f"${{var:{name}}}")) is type(value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("x ${var:n} y", "x 30 y"),
        ("${var:n}${var:n}", "3030"),
        ("${var:yes}!", "true!"),
        ("${env:USER}-${var:text}", "ada-a b"),
        ("${env:EMPTY}", ""),
    ],
)
def test_a_reference_inside_a_text_is_replaced_by_its_text(written: str, value: str) -> None:
    assert replaced(written) == value


@pytest.mark.parametrize(
    ("written", "value"),
    [("${env:NO:-x}", "x"), ("${env:NO:-}", ""), ("${env:USER:-x}", "ada"), ("${var:no:-5}", "5"), ("${var:n:-5}", 30)],
)
def test_a_default_stands_in_for_what_is_not_set(written: str, value: object) -> None:
    assert replaced(written) == value


@pytest.mark.parametrize("text", ["$", "{n}", "$n", "${n}", "$ {var:n}", "{{ var('n') }}", "${VAR:n}", "100 %", "}${"])
def test_all_other_text_stays(text: str) -> None:
    assert replaced(text) == text


def test_references_are_found_at_any_depth_and_keys_stay() -> None:
    assert replaced({"a": ["${var:n}", {"${var:n}": "${env:USER}"}], "b": 5}) == {
        "a": [30, {"${var:n}": "ada"}],
        "b": 5,
    }


def test_a_reference_to_nothing_is_reported_with_its_place() -> None:
    _, unknown = substitute({"a": [{"b": "x ${var:nope} ${env:NOPE}"}]}, VARIABLES, ENVIRON)
    assert [(u.path, u.kind, u.name) for u in unknown] == [
        (("a", 0, "b"), "var", "nope"),
        (("a", 0, "b"), "env", "NOPE"),
    ]


PLACES = [
    ("where", lambda text: {"where": text}),
    ("where", lambda text: {"families": [{"where": text}]}),
    ("where", lambda text: {"defaults": {"where": text}}),
    ("path", lambda text: {"sources": [{"path": text}]}),
    ("table", lambda text: {"sources": [{"table": text}]}),
    ("query", lambda text: {"families": [{"tests": [{"sql": {"query": text}}]}]}),
    ("query", lambda text: {"tests": [{"sql": {"query": text}}]}),
    ("password", lambda text: {"sources": [{"options": {"password": text}}]}),
]


def innermost(data: Any) -> Any:
    while isinstance(data, dict | list):
        (data,) = data.values() if isinstance(data, dict) else data
    return data


@pytest.mark.parametrize("wrap", [lambda text: {"sql": text}, lambda text: {"families": [{"sql": text}]}])
def test_sql_is_left_to_jinja(wrap: Callable[[str], Any]) -> None:
    data, unknown = substitute(wrap("${var:nope}"), VARIABLES, ENVIRON)
    assert (innermost(data), unknown) == ("${var:nope}", [])


@pytest.mark.parametrize(("key", "wrap"), PLACES)
def test_the_environment_enters_such_texts_only_when_they_are_used(key: str, wrap: Callable[[str], Any]) -> None:
    data, unknown = substitute(wrap("${var:n}/${env:USER}/${env:NO:-x}"), VARIABLES, ENVIRON)
    assert unknown == []
    assert innermost(data) == "30/${env:USER}/${env:NO:-x}"
    assert resolve_environment(innermost(data), ENVIRON) == "30/ada/x"


@pytest.mark.parametrize(("key", "wrap"), PLACES)
def test_what_is_missing_for_them_is_reported_at_once(key: str, wrap: Callable[[str], Any]) -> None:
    _, unknown = substitute(wrap("${env:NOPE}"), {}, {})
    assert [(u.name, u.path[-1]) for u in unknown] == [("NOPE", key)]


def test_keys_of_the_same_names_elsewhere_are_ordinary() -> None:
    data, _ = substitute({"families": [{"meta": {"sql": "${var:n}", "path": "${env:USER}"}}]}, VARIABLES, ENVIRON)
    assert data == {"families": [{"meta": {"sql": 30, "path": "ada"}}]}


@pytest.mark.parametrize("text", ["${env:USER}", "${env:NO:-ada}", "x ${env:USER}"])
def test_a_variable_may_refer_to_the_environment(text: str) -> None:
    data, _ = substitute({"a": "${var:who}", "sources": [{"path": "${var:who}"}]}, {"who": text}, ENVIRON)
    assert data == {
        "a": text.replace("${env:USER}", "ada").replace("${env:NO:-ada}", "ada"),
        "sources": [{"path": text}],
    }


def test_what_is_replaced_is_not_read_again() -> None:
    data, _ = substitute({"a": "x ${env:TRICK}"}, {}, {"TRICK": "${env:SECRET}", "SECRET": "hunter2"})
    assert data == {"a": "x ${env:SECRET}"}


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from("ab $}{:'-")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from("abc")), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), _values))
def test_data_without_references_is_unchanged(data: dict[str, Any]) -> None:
    assert substitute(data, VARIABLES, ENVIRON) == (data, [])


def test_followed_references_are_told_and_the_environment_stays() -> None:
    variables = {"a": "${var:b}/${env:USER}", "b": 5}
    value, references = follow("${var:a} ${env:NO:-x} ${env:USER:-y} ${var:c:-z}", variables, ENVIRON)
    assert value == "5/${env:USER} x ${env:USER} z"
    assert [(r.kind, r.name, r.by_default) for r in references] == [
        ("var", "a", False),
        ("var", "b", False),
        ("env", "USER", False),
        ("env", "NO", True),
        ("env", "USER", False),
        ("var", "c", True),
    ]
