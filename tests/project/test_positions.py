"""Every value of a YAML or TOML document is found where it is written."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.diagnostics import Code, Diagnostic, Place, Position
from modelfactory.project.positions import KeyPath, locate, places_of
from modelfactory.project.yaml12 import YamlLoader

_text = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=12)
_key = st.text(st.sampled_from("ab.-_ \"'#=[]{},:\\é日\t\n"), min_size=0, max_size=6)


def _documents(leaf: st.SearchStrategy[Any], key: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    nested = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(key, inner, max_size=3), max_leaves=15
    )
    return st.dictionaries(key, nested, min_size=1, max_size=4)


_toml = _documents(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | _text
    | st.dates()
    | st.times()
    | st.datetimes(min_value=dt.datetime(1000, 1, 1)),
    _key,
)
_yaml = _documents(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12),
    st.text(st.sampled_from("ab.-_ \"'#=[]{},:é日"), max_size=6),
)


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from leaves(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from leaves(item, (*path, index))
        case _:
            yield path, value


def at(text: str, position: Position) -> str:
    """Return what stands at a position."""
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: position.line - 1]) + position.column - 1
    return text[start : start + position.length]


# TOML ------------------------------------------------------------------------------------------------------------


@settings(max_examples=250, deadline=None)
@given(_toml, st.booleans())
def test_every_value_of_a_toml_document_stands_where_it_is_said_to(data: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(data, multiline_strings=multiline)
    places = places_of(text, ".toml")
    for path, value in leaves(tomllib.loads(text)):
        written = at(text, places[path].value)
        if written.startswith(('"""', "'''")):
            continue  # how much of a text of many lines is marked is another matter
        assert tomllib.loads(f"v = {written}") == {"v": value}


@settings(max_examples=250, deadline=None)
@given(_toml)
def test_every_key_of_a_toml_document_stands_where_it_is_said_to(data: dict[str, Any]) -> None:
    text = tomli_w.dumps(data)
    places = places_of(text, ".toml")
    for path, _ in leaves(tomllib.loads(text)):
        key = places[path].key
        if key is not None:
            assert tomllib.loads(f"{at(text, key)} = 0") == {path[-1]: 0}
        else:
            assert isinstance(path[-1], int)


@settings(max_examples=100, deadline=None)
@given(_toml)
def test_comments_and_blanks_do_not_mislead(data: dict[str, Any]) -> None:
    plain = tomli_w.dumps(data)
    spaced = f"# [no.table]\n\n{plain}# a = 1\n"
    shifted = places_of(spaced, ".toml")
    for path, place in places_of(plain, ".toml").items():
        assert shifted[path].value.line == place.value.line + 2


TOML = r'''
title = "x" # = "y"
'quoted key'."and.dots".c = 5
[a.b]
list = [
  1, # ]
  "]", {x = 1, y = [2]},
]
long = """
one " "" [two] \""" # inside """"
raw = """x"""""
when = 1979-05-27 07:32:00
[[a.families]]
name = "f"
[[a.families]]
name = "g"
params.alpha.beta = +1e3
[[a.families.features]]
name = "h"
[a.families.estimator]
class = "Ridge"
'''


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (("title",), '"x"'),
        (("quoted key", "and.dots", "c"), "5"),
        (("a", "b", "list", 0), "1"),
        (("a", "b", "list", 1), '"]"'),
        (("a", "b", "list", 2, "x"), "1"),
        (("a", "b", "list", 2, "y", 0), "2"),
        (("a", "b", "raw"), '"""x"""""'),
        (("a", "b", "when"), "1979-05-27 07:32:00"),
        (("a", "families", 0, "name"), '"f"'),
        (("a", "families", 1, "name"), '"g"'),
        (("a", "families", 1, "params", "alpha", "beta"), "+1e3"),
        (("a", "families", 1, "features", 0, "name"), '"h"'),
        (("a", "families", 1, "estimator", "class"), '"Ridge"'),
    ],
)
def test_all_forms_of_toml_are_followed(path: KeyPath, written: str) -> None:
    tomllib.loads(TOML)
    position = locate(TOML, ".toml", path)
    assert position is not None
    assert at(TOML, position) == written


@pytest.mark.parametrize("text", ["a.b.c = 1\n", "a . b . c = 1\n", "x.y = 0\n\n  a.'b'.c = 1\n"])
def test_the_last_part_of_a_dotted_key_is_the_key(text: str) -> None:
    position = locate(text, ".toml", ("a", "b", "c"), key=True)
    assert position is not None
    assert at(text, position) == "c"


@pytest.mark.parametrize("text", ["[a.b]\nc = 1\n", "[[a.b]]\nc = 1\n"])
def test_a_table_that_only_a_longer_header_names_is_found_in_it(text: str) -> None:
    position = locate(text, ".toml", ("a",))
    assert position is not None
    assert position.line == 1


# YAML ------------------------------------------------------------------------------------------------------------


@settings(max_examples=250, deadline=None)
@given(_yaml, st.sampled_from([None, True, False]), st.booleans())
def test_every_value_of_a_yaml_document_stands_where_it_is_said_to(
    written: dict[str, Any], flow: bool | None, unicode: bool
) -> None:
    text = yaml.safe_dump(written, default_flow_style=flow, allow_unicode=unicode, width=10_000, sort_keys=False)
    data = yaml.load(text, YamlLoader)
    places = places_of(text, ".yml")
    for path, value in leaves(data):
        piece = at(text, places[path].value)
        if value is None or "\n" in str(value):
            continue
        assert yaml.load(f"v: {piece}", YamlLoader) == {"v": value}


@settings(max_examples=150, deadline=None)
@given(_yaml)
def test_every_key_of_a_yaml_document_stands_where_it_is_said_to(written: dict[str, Any]) -> None:
    text = yaml.safe_dump(written, allow_unicode=True, width=10_000)
    for path, place in places_of(text, ".yml").items():
        if place.key is not None:
            assert yaml.load(f"{at(text, place.key)}: 0", YamlLoader) == {path[-1]: 0}
        else:
            assert isinstance(path[-1], int)


YAML = """\
# families: []
base: &base
  alpha: 1
families:
- name: f
  sql: |
    select 1
    from x
  params: {alpha: 'a b', beta: [x, "y"]}
- {name: g, params: *base}
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("families", 0, "name"), 5, 9),
        (("families", 0, "sql"), 6, 8),
        (("families", 0, "params", "alpha"), 9, 19),
        (("families", 0, "params", "beta", 1), 9, 36),
        (("families", 1), 10, 3),
        (("families", 1, "name"), 10, 10),
    ],
)
def test_all_forms_of_yaml_are_followed(path: KeyPath, line: int, column: int) -> None:
    position = locate(YAML, ".yml", path)
    assert position is not None
    assert (position.line, position.column) == (line, column)


@pytest.mark.parametrize("key", [5, 2024, True, None, 1.5])
def test_a_key_that_is_no_text_is_found_too(key: object) -> None:
    text = yaml.safe_dump({"a": {key: "here"}})
    key = next(iter(yaml.load(text, YamlLoader)["a"]))
    position = locate(text, ".yml", ("a", key))  # type: ignore[arg-type]
    assert position is not None
    assert at(text, position) == "here"


# Both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "text"), [(".yml", "a:\n  b: {c: 1}\n"), (".toml", "[a]\nb = {c = 1}\n")])
def test_what_is_not_written_is_at_its_nearest_parent(suffix: str, text: str) -> None:
    position = locate(text, suffix, ("a", "b", "nope", "deeper"))
    assert position is not None
    assert at(text, position) == "b"


@pytest.mark.parametrize(("suffix", "text"), [(".yml", "estimator: Rigde\n"), (".toml", "estimator = 'Rigde'\n")])
def test_inside_a_value_written_short_the_value_is_meant(suffix: str, text: str) -> None:
    position = locate(text, suffix, ("estimator", "class"))
    assert position is not None
    assert "Rigde" in at(text, position)


@pytest.mark.parametrize("suffix", [".yml", ".toml"])
def test_the_whole_document_has_no_place(suffix: str) -> None:
    assert locate("", suffix, ()) is None


@pytest.mark.parametrize(
    ("suffix", "text"), [(".yml", 'a: "x\n  y"\n'), (".yml", "a: >\n  x\n  y\n"), (".toml", 'a = """x\nyyyyyy"""\n')]
)
def test_a_mark_does_not_reach_beyond_its_line(suffix: str, text: str) -> None:
    position = locate(text, suffix, ("a",))
    assert position is not None
    assert position.column - 1 + position.length <= len(text.split("\n")[position.line - 1])


@pytest.mark.parametrize("before", ["\t", "\t\t", "a\t"])
def test_the_mark_stands_below_what_it_marks_after_tabs(before: str) -> None:
    shown = Diagnostic(
        code=Code.BAD_VALUE,
        message="x",
        place=Place(file="f.toml", position=Position(1, len(before) + 1, 3), source_line=f"{before}bad = 1"),
    )
    line, marks = shown.text().splitlines()[-2:]
    assert line.expandtabs().index("bad") == marks.expandtabs().index("^")
