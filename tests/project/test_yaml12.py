"""YAML is read by the core schema of YAML 1.2."""

from __future__ import annotations

import json
import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.project.yaml12 import DuplicateKey, YamlLoader


def value_of(written: str) -> object:
    return yaml.load(f"a: {written}\n", YamlLoader)["a"]


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "y", "n", "No", "YES", "On", "OFF", "2020-01-01", "12:30:45"]
)
def test_words_of_yaml_1_1_are_text(word: str) -> None:
    assert value_of(word) == word


@pytest.mark.parametrize("word", ["1_000", "0b11", "-0x1F", "0o8", "1e", "e3", ".", "+", "-.", "..", "1.2.3", "--1"])
def test_what_only_looks_like_a_number_is_text(word: str) -> None:
    assert value_of(word) == word


@pytest.mark.parametrize(
    ("written", "value"),
    [("010", 10), ("0o17", 15), ("0x1F", 31), ("-5", -5), ("+5", 5), ("0", 0), ("00", 0)],
)
def test_whole_numbers(written: str, value: int) -> None:
    assert value_of(written) == value
    assert isinstance(value_of(written), int)


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e3", 1000.0), ("1.", 1.0), (".5", 0.5), ("+.5", 0.5), ("-1.5E-2", -0.015), ("12e03", 12000.0)],
)
def test_floats(written: str, value: float) -> None:
    assert value_of(written) == value
    assert isinstance(value_of(written), float)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (sign + word, -math.inf if sign == "-" else math.inf)
        for sign in ("", "+", "-")
        for word in (".inf", ".Inf", ".INF")
    ],
)
def test_infinity_in_all_three_spellings(written: str, value: float) -> None:
    assert value_of(written) == value


@pytest.mark.parametrize("written", [".nan", ".NaN", ".NAN"])
def test_not_a_number_in_all_three_spellings(written: str) -> None:
    assert math.isnan(value_of(written))  # type: ignore[arg-type]


@pytest.mark.parametrize("written", ["null", "Null", "NULL", "~", ""])
def test_null_in_all_spellings(written: str) -> None:
    assert value_of(written) is None


@pytest.mark.parametrize("written", ["true", "True", "TRUE", "false", "False", "FALSE"])
def test_true_and_false_in_all_spellings(written: str) -> None:
    assert value_of(written) is (written.lower() == "true")


@pytest.mark.parametrize("written", ["'1'", '"true"', "'null'", "|\n  no", ">\n  5"])
def test_quoted_and_block_scalars_are_text(written: str) -> None:
    assert isinstance(value_of(written), str)


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "a: 1\n'a': 2\n", "x: {b: 1, c: 2, b: 3}"])
def test_a_key_may_stand_once(text: str) -> None:
    with pytest.raises(DuplicateKey):
        yaml.load(text, YamlLoader)


def test_the_same_key_may_stand_in_different_mappings() -> None:
    assert yaml.load("[{a: 1}, {a: 2}]", YamlLoader) == [{"a": 1}, {"a": 2}]


def test_merge_keys_give_what_is_not_written() -> None:
    text = "base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nboth: {<<: [*base, {c: 4}]}\n"
    data = yaml.load(text, YamlLoader)
    assert data["own"] == {"a": 1, "b": 3}
    assert data["both"] == {"a": 1, "b": 2, "c": 4}


@settings(max_examples=80, deadline=None)
@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none())
def test_what_json_writes_is_read_back(value: object) -> None:
    written = json.dumps(value).replace("Infinity", ".inf")
    assert value_of(written) == value


@settings(max_examples=80, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"))))
def test_text_in_json_quotes_is_read_back(value: str) -> None:
    assert value_of(json.dumps(value, ensure_ascii=False)) == value
