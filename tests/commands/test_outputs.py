"""An output is replaced once what is to be there is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import write_project

from modelfactory.commands.outputs import check_apart, replaced
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.selecting import Choice
from modelfactory.commands.workspace import open_workspace
from modelfactory.diagnostics import InputError


def test_a_folder_takes_the_place_of_a_file(tmp_path: Path) -> None:
    place = tmp_path / "new" / "out"
    for text in ("first", "second"):
        with replaced(place, text) as draft:
            draft.mkdir()
            (draft / "it").write_text(text, encoding="utf-8")
        assert (place / "it").read_text(encoding="utf-8") == text
    assert list(place.parent.iterdir()) == [place]


def test_an_interrupt_between_the_renames_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, rename = tmp_path / "out", Path.rename
    place.write_text("precious", encoding="utf-8")

    def interrupted(path: Path, to: Path) -> Path:
        if path.name == ".out.run":
            raise KeyboardInterrupt
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), replaced(place, "run") as draft:
        draft.write_text("new", encoding="utf-8")
    assert place.read_text(encoding="utf-8") == "precious"
    assert list(tmp_path.iterdir()) == [place]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    folder, place = tmp_path / "folder", tmp_path / "out"
    folder.mkdir()
    place.symlink_to(folder)
    with replaced(place, "run") as draft:
        draft.mkdir()
    assert folder.is_dir()
    assert not place.is_symlink()
    assert sorted(tmp_path.iterdir()) == [folder, place]


@pytest.mark.parametrize("made", [True, False])
def test_what_was_there_is_there_still_where_the_work_fails(made: bool, tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.write_text("precious", encoding="utf-8")
    with pytest.raises((RuntimeError, FileNotFoundError)), replaced(place, "run") as draft:  # noqa: PT012
        if made:
            draft.write_text("half", encoding="utf-8")
            raise RuntimeError
    assert place.read_text(encoding="utf-8") == "precious"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("output", ["..", ".", "../p/", "store", "store/price", "/"])
def test_what_is_no_output_is_not_replaced(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path / "p", {})
    (tmp_path / "p" / "store" / "price").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "p")
    options = ProjectOptions(project_dir=tmp_path / "p", variables={}, environ={})
    workspace = open_workspace(options, Choice(), may_be_empty=True)
    with pytest.raises(InputError, match="would take the place of"):
        check_apart(output, workspace)
    check_apart("store.parquet", workspace)
    check_apart("../out", workspace)
