"""Finding and reading project files: YAML and TOML give the same data, and every mistake has its place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import tomli_w
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.diagnostics import Code, Diagnostic, InputError, Position
from modelfactory.project.files import find_definition_files, find_project_file, read_document, read_mapping

BOM = b"\xef\xbb\xbf"


def read(folder: Path, name: str, content: str | bytes) -> dict[str, object]:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(file, folder).data


def mistake(folder: Path, name: str, content: str | bytes) -> Diagnostic:
    with pytest.raises(InputError) as caught:
        read(folder, name, content)
    (only,) = caught.value.diagnostics
    return only


def place(diagnostic: Diagnostic) -> tuple[int, int] | None:
    found = diagnostic.position
    return None if found is None else (found.line, found.column)


# Finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mf_project.yml", "mf_project.yaml", "mf_project.toml"])
def test_any_form_of_the_project_file_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert find_project_file(tmp_path, search_parents=False) == tmp_path / name


def test_the_nearest_parent_with_a_project_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "mf_project.yml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project_file(tmp_path / "a" / "b", search_parents=True) == tmp_path / "mf_project.yml"


def test_a_named_folder_must_hold_the_project_file_itself(tmp_path: Path) -> None:
    (tmp_path / "mf_project.yml").touch()
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError) as caught:
        find_project_file(tmp_path / "a", search_parents=False)
    assert caught.value.diagnostics[0].code == Code.NO_PROJECT


def test_two_project_files_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "mf_project.yml").touch()
    (tmp_path / "mf_project.toml").touch()
    with pytest.raises(InputError, match=r"`mf_project\.yml` and `mf_project\.toml`") as caught:
        find_project_file(tmp_path, search_parents=False)
    assert caught.value.diagnostics[0].code == Code.TWO_PROJECT_FILES


@pytest.mark.parametrize(("name", "words"), [("missing", "does not exist"), ("file", "is not a folder")])
def test_a_project_folder_must_be_a_folder(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=words):
        find_project_file(tmp_path / name, search_parents=True)


def test_definition_files_come_sorted_from_all_folders_below(tmp_path: Path) -> None:
    for name in ("b.yml", "a/z.toml", "a/c.yaml", "readme.md", "data.yml/x.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(file.relative_to(tmp_path)) for file in find_definition_files(tmp_path)]
    assert found == ["a/c.yaml", "a/z.toml", "b.yml", "data.yml/x.yml"]


# Reading ---------------------------------------------------------------------------------------------------------

_plain = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # YAML 1.1, which writes here, takes other words for numbers than 1.2, which reads.
    | st.text(st.characters(codec="utf-8", categories=("L", "P", "Zs")), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[b-m]{1,5}", fullmatch=True), inner),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.from_regex(r"[b-m]{1,5}", fullmatch=True), _plain, min_size=1))
def test_yaml_and_toml_give_the_same_data(tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]) -> None:
    folder = tmp_path_factory.mktemp("same")
    as_yaml = read(folder, "x.yml", yaml.safe_dump(data, allow_unicode=True))
    as_toml = read(folder, "x.toml", tomli_w.dumps(data))
    assert as_yaml == as_toml == data


@pytest.mark.parametrize("written", ["2024-02-29", "07:32:00", "2024-02-29T07:32:00"])
def test_dates_are_text_in_both_formats(tmp_path: Path, written: str) -> None:
    assert read(tmp_path, "x.yml", f"day: {written}\n") == read(tmp_path, "x.toml", f"day = {written}\n")


@pytest.mark.parametrize(("name", "text"), [("x.yml", "a: 1\nb: [é, 日]\n"), ("x.toml", "a = 1\nb = ['é', '日']\n")])
@pytest.mark.parametrize("change", ["\n", "\r\n"], ids=["unix", "windows"])
def test_line_ends_of_both_worlds_are_read(tmp_path: Path, name: str, text: str, change: str) -> None:
    assert read(tmp_path, name, text.replace("\n", change)) == {"a": 1, "b": ["é", "日"]}


@pytest.mark.parametrize(("name", "text"), [("x.yml", "a: 1\n"), ("x.toml", "a = 1\n")])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, BOM + text.encode()) == {"a": 1}


@pytest.mark.parametrize("name", ["x.yml", "x.toml"])
@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_file_is_a_mistake(tmp_path: Path, name: str, text: str) -> None:
    assert mistake(tmp_path, name, text).code == Code.EMPTY_FILE


@pytest.mark.parametrize("name", ["x.yml", "x.toml"])
def test_a_file_of_comments_is_empty(tmp_path: Path, name: str) -> None:
    assert mistake(tmp_path, name, "# later\n").code == Code.EMPTY_FILE


@pytest.mark.parametrize("name", ["x.yml", "x.toml"])
@pytest.mark.parametrize("content", [b"a: \xe9\n", "a: 1\n".encode("utf-16")], ids=["latin-1", "utf-16"])
def test_a_file_that_is_not_utf8_is_unreadable(tmp_path: Path, name: str, content: bytes) -> None:
    found = mistake(tmp_path, name, content)
    assert (found.code, found.file) == (Code.UNREADABLE, name)


@pytest.mark.parametrize("content", ["- a\n", "just text\n", "42\n"])
def test_the_top_of_a_file_must_be_a_mapping_and_its_first_line_is_shown(tmp_path: Path, content: str) -> None:
    found = mistake(tmp_path, "x.yml", content)
    assert found.code == Code.BAD_VALUE
    assert place(found) == (1, 1)


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("x.yml", "a: [1,\n", (2, 1)),
        ("x.yml", "a: 1\n\tb: 2\n", (2, 1)),
        ("x.yml", "a: 1\nb: *gone\n", (2, 4)),
        ("x.yml", "a: 1\n---\nb: 1\n", (2, 1)),
        ("x.yml", "a: !!python/object/apply:os.system [ls]\n", (1, 4)),
        ("x.yml", "? [a]\n: b\n", (1, 3)),
        ("x.toml", "a = 1\nb =\n", (2, 4)),
        ("x.toml", "a = 1\nb = 'open\n", None),
        ("x.toml", "a = 1\n[b\n", (2, 3)),
    ],
)
def test_bad_syntax_has_a_line_and_shows_it(
    tmp_path: Path, name: str, text: str, where: tuple[int, int] | None
) -> None:
    found = mistake(tmp_path, name, text)
    assert found.code == Code.SYNTAX
    assert place(found) is not None
    assert where is None or place(found) == where


@pytest.mark.parametrize("bad", ["\x00", "\x07", "\x1b"])
def test_a_control_character_in_yaml_is_found_at_its_place(tmp_path: Path, bad: str) -> None:
    found = mistake(tmp_path, "x.yml", f"a: 1\nb: x{bad}\n")
    assert found.code == Code.SYNTAX
    assert place(found) == (2, 5)
    assert "\n" not in found.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yml", "name: a\nage: 1\nname: b\n"),
        ("x.yml", 'name: a\nage: 1\n"name": b\n'),
        ("x.toml", "name = 'a'\nage = 1\nname = 'b'\n"),
    ],
)
def test_a_key_that_stands_twice_is_found_at_its_second_place(tmp_path: Path, name: str, text: str) -> None:
    found = mistake(tmp_path, name, text)
    assert found.code == Code.DUPLICATE_KEY
    assert place(found) == (3, 1)
    assert "`name`" in found.message


@pytest.mark.parametrize(
    "value", ["!!int abc", "!!float abc", "!!int ''", "9" * 5000], ids=["int", "float", "nothing", "too long"]
)
def test_a_number_that_is_none_is_a_syntax_error_in_yaml(tmp_path: Path, value: str) -> None:
    found = mistake(tmp_path, "x.yml", f"a: 1\nb: {value}\n")
    assert found.code in (Code.SYNTAX, Code.BAD_VALUE)
    assert place(found) == (2, 4)


def test_a_number_that_is_too_long_is_a_syntax_error_in_toml(tmp_path: Path) -> None:
    assert mistake(tmp_path, "x.toml", f"a = {'9' * 5000}\n").code in (Code.SYNTAX, Code.BAD_VALUE)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yml", "a: " + "[" * 20_000 + "]" * 20_000),
        ("x.toml", "a = " + "[" * 20_000 + "]" * 20_000),
    ],
)
def test_nesting_without_end_is_a_mistake_not_a_crash(tmp_path: Path, name: str, text: str) -> None:
    assert mistake(tmp_path, name, text).code in (Code.SYNTAX, Code.BAD_VALUE)


@pytest.mark.parametrize("text", ["a: &x {b: *x}\n", "a: &x [*x]\n"])
def test_an_alias_inside_what_it_names_is_a_mistake(tmp_path: Path, text: str) -> None:
    assert mistake(tmp_path, "x.yml", text).code in (Code.SYNTAX, Code.BAD_VALUE)


@pytest.mark.parametrize("tag", ["!!binary aGVsbG8=", "!!timestamp 2020-01-01", "!!set {a, b}"])
def test_yaml_holds_only_the_kinds_of_values_that_toml_has_too(tmp_path: Path, tag: str) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(read(tmp_path, "x.yml", f"a: {tag}\n")["a"], str | int | float | bool | list | dict)


def test_lines_of_a_secret_file_are_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yml"
    file.write_text("targets: {a: {store: hunter2\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_document(file, tmp_path, secret=True)
    assert caught.value.diagnostics[0].position == Position(2, 1)
    assert "hunter2" not in str(caught.value)


# Options ---------------------------------------------------------------------------------------------------------


def test_an_option_holds_a_yaml_mapping() -> None:
    assert read_mapping("{a: 1, b: [no, 2]}", option="--vars") == {"a": 1, "b": ["no", 2]}


@pytest.mark.parametrize("text", ["a", "[1]", "a=1", " ", "# x", "{a: 1", "{a: 1, a: 2}"])
def test_an_option_that_is_no_mapping_is_a_mistake_that_names_it(text: str) -> None:
    with pytest.raises(InputError, match="--vars"):
        read_mapping(text, option="--vars")
