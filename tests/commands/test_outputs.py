"""An output is replaced once what is to be there is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelfactory.commands.outputs import replaced


def test_a_folder_takes_the_place_of_a_file(tmp_path: Path) -> None:
    place = tmp_path / "new" / "out"
    for text in ("first", "second"):
        with replaced(place, text) as draft:
            draft.mkdir()
            (draft / "it").write_text(text, encoding="utf-8")
        assert (place / "it").read_text(encoding="utf-8") == text
    assert list(place.parent.iterdir()) == [place]


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
