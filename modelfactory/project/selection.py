"""Choose families: names, `tag:` and `path:`, in dbt's manner.

Several arguments, or words in one, are a union; a comma without space is an intersection; `*` and `?` are
wildcards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from modelfactory.diagnostics import Code, did_you_mean, input_error
from modelfactory.project.loading import Family

_GRAPH = re.compile(r"^(?:@|\d*\+)|\+\d*$")
METHODS = ("name", "tag", "path")


def select_families(
    families: Iterable[Family], select: Sequence[str] = (), exclude: Sequence[str] = ()
) -> tuple[Family, ...]:
    """Return the families that the selectors choose, in the order of the project.

    Args:
        families: all families.
        select: selectors; everything if empty.
        exclude: selectors of what to leave out.

    Raises:
        InputError: a selector has a method that is not known.
    """
    everything = tuple(families)
    chosen = _matched(everything, select) if select else {family.name for family in everything}
    chosen = chosen - _matched(everything, exclude)
    return tuple(family for family in everything if family.name in chosen)


def unmatched_terms(families: Iterable[Family], selectors: Sequence[str]) -> list[str]:
    """Return the terms of selectors that match no family."""
    everything = tuple(families)
    terms = [term for argument in selectors for term in argument.split()]
    return [term for term in terms if not _matched(everything, [term])]


def _matched(families: Sequence[Family], selectors: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for term in (term for argument in selectors for term in argument.split()):
        sets = [{f.name for f in families if _matches(f, part)} for part in term.split(",")]
        found |= set.intersection(*sets)
    return found


def _matches(family: Family, criterion: str) -> bool:
    criterion = _GRAPH.sub("", criterion)  # no family depends on another one: what is around it is itself
    method, colon, value = criterion.partition(":")
    if not colon:
        method, value = "name", criterion
    match method:
        case "name":
            return fnmatchcase(family.name, value)
        case "tag":
            return any(fnmatchcase(tag, value) for tag in family.spec.tags)
        case "path":
            wanted = value.rstrip("/").removeprefix("./")
            parents = [family.path]
            while "/" in parents[-1]:
                parents.append(parents[-1].rpartition("/")[0])
            return any(fnmatchcase(parent, wanted) for parent in parents)
        case _:
            raise input_error(
                Code.BAD_OPTION,
                f"unknown selection method `{method}:` in `{criterion}`",
                help=did_you_mean(method, METHODS),
            )
