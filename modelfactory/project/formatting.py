"""The canonical form of a project file: every comment is kept, and what is read stays the same.

This holds by a check of each result and not only by the care of the code: a text for which it fails is not formatted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import Any

from modelfactory.diagnostics import InputError
from modelfactory.project import toml_form, yaml_form
from modelfactory.project.files import FOLDER_DEFAULTS, PROJECT_FILES, read_plain
from modelfactory.project.layout import CannotFormat, KeyOrder
from modelfactory.project.specs import FamiliesFileSpec, FamilySpec, ProfilesSpec, ProjectSpec

PROFILES = "profiles"
SELECTORS = "selectors"


def order_of(file: PurePath, root: PurePath) -> KeyOrder:
    """Return the order of keys in a file of a project, by its name; `root` is the project's folder."""
    if file.parent == root and file.name in PROJECT_FILES:
        return KeyOrder((ProjectSpec,))
    if file.parent == root and file.stem == SELECTORS:
        return KeyOrder()
    if holds_secrets(file, root):
        return KeyOrder((ProfilesSpec,))
    if file.stem == FOLDER_DEFAULTS:
        return KeyOrder((FamilySpec,))
    return KeyOrder((FamiliesFileSpec,), apart=True)


def holds_secrets(file: PurePath, root: PurePath) -> bool:
    """Say whether a file of a project is its profiles, whose lines are never shown."""
    return file.parent == root and file.stem == PROFILES


def format_text(text: str, suffix: str, order: KeyOrder) -> str:
    """Return the canonical form of a YAML or TOML text.

    Args:
        text: a text that is read without error.
        suffix: `.toml`, else the text is YAML.
        order: the order of its keys.

    Raises:
        CannotFormat: there is none that keeps all comments and is read as the text is; it says why.
    """
    try:
        return _checked(text, suffix, order, reorder=True)
    except CannotFormat:  # keys that cannot move, such as an alias before its anchor, stay
        return _checked(text, suffix, order, reorder=False)


def _checked(text: str, suffix: str, order: KeyOrder, *, reorder: bool) -> str:
    form = toml_form if suffix == ".toml" else yaml_form
    formatted: str = form.formatted(text, order, reorder=reorder)
    if formatted == text:
        return text
    if not _same(read_plain(text, suffix), _read_again(formatted, suffix)):
        raise CannotFormat("in its canonical form it would be read otherwise")
    if Counter(form.comments(text)) != Counter(form.comments(formatted)):
        raise CannotFormat("in its canonical form a comment would be lost")
    if form.formatted(formatted, order, reorder=reorder) != formatted:
        raise CannotFormat("its canonical form would be formatted again")
    return formatted


def _read_again(text: str, suffix: str) -> Any:
    try:
        return read_plain(text, suffix)
    except InputError as error:
        raise CannotFormat("in its canonical form it could not be read") from error


def _same(one: Any, other: Any) -> bool:
    """Compare data to the type; the order of keys does not count."""
    if type(one) is not type(other):
        return False
    match one:
        case dict():
            return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
        case list():
            return len(one) == len(other) and all(map(_same, one, other))
        case _:
            return repr(one) == repr(other)
