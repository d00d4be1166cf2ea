"""What files hold is remembered by their texts: never out of date, nothing secret, and a fault costs time only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ONE_ROW, write_project

from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.remembering import remembered_readings
from modelfactory.commands.workspace import ReadProject, read_project
from modelfactory.project import files
from modelfactory.project.files import Document, Readings, read_plain

SECRET = "hunter2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    profiles = f"targets: {{local: {{store: {SECRET}}}}}\n"
    return write_project(tmp_path / "project", {**ONE_ROW, "profiles.yml": profiles})


def read(folder: Path) -> ReadProject:
    environ = {"XDG_CACHE_HOME": str(folder.parent / "cache")}
    return read_project(ProjectOptions(project_dir=folder, variables={}, environ=environ))


def remembered(folder: Path) -> list[Path]:
    return list((folder.parent / "cache").glob("modelfactory/files-*.json"))


def test_only_a_changed_file_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(folder)
    names: list[str] = []
    real = files._read_plain

    def counted(draft: Document) -> object:
        names.append(draft.name)
        return real(draft)

    monkeypatch.setattr(files, "_read_plain", counted)
    again = read(folder)
    assert names == ["profiles.yml"]
    assert [f.spec for f in again.project.families] == [f.spec for f in first.project.families]
    (folder / "families/f.yml").write_text(ONE_ROW["families/f.yml"].replace("Ridge", "Lasso"), encoding="utf-8")
    changed = read(folder)
    assert names == ["profiles.yml", "profiles.yml", "families/f.yml"]
    assert changed.project.families[0].spec.estimator is not None
    assert changed.project.families[0].spec.estimator.class_ == "Lasso"


def test_nothing_of_the_profiles_is_remembered(folder: Path) -> None:
    read(folder)
    (file,) = remembered(folder)
    assert SECRET not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_file_is_made_anew(folder: Path, content: bytes) -> None:
    read(folder)
    (file,) = remembered(folder)
    whole = json.loads(file.read_bytes())
    file.write_bytes(content)
    assert read(folder).project.families[0].name == "f"
    assert json.loads(file.read_bytes()) == whole


def test_a_cache_that_cannot_be_written_costs_nothing(folder: Path) -> None:
    (folder.parent / "cache").write_text("in the way", encoding="utf-8")
    assert read(folder).project.families[0].name == "f"


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("ab\u00e9\U0001f600 :#'\"", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), _VALUES, min_size=1))
def test_what_is_remembered_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    root = tmp_path_factory.mktemp("readings")
    text = json.dumps(values, ensure_ascii=False)  # JSON is YAML
    draft = Document(root / "f.yml", "f.yml", text, {})
    found = []
    for _ in range(2):
        with remembered_readings(root, {"XDG_CACHE_HOME": str(root)}) as readings:
            found.append(readings.plain(draft))
    assert repr(found[0]) == repr(found[1]) == repr(read_plain(text, ".yml"))
    assert Readings().plain(draft) == found[0]
