"""Where a value of a family's meaning is written in the files of its project."""

from __future__ import annotations

from modelfactory.diagnostics import Place
from modelfactory.plan.meaning import ValuePath
from modelfactory.project.loading import Family, Project
from modelfactory.project.positions import KeyPath


def place_of(project: Project, family: Family, path: ValuePath) -> Place:
    """Return the place of a value, or of what it is written in.

    Args:
        project: the project of the family.
        family: the family.
        path: where the value stands in the family's meaning.
    """
    if path[0] == "sources" and len(path) > 1 and path[1] in project.sources:
        origin = project.sources[path[1]].origin
        return origin.document.place((*origin.path, *path[2:]))
    return family.place(_in_definition(family, path))


def _in_definition(family: Family, path: ValuePath) -> KeyPath:
    """Return where in the definition a value of the meaning is written."""
    key, *rest = path
    match key:
        case "features" if rest:
            names = [feature.name for feature in family.spec.features]
            return ("features", names.index(rest[0])) if rest[0] in names else ("features",)
        case "feature_order":
            return ("features",)
        case "task" | "definition" | "environment":
            first = family.spec.finals[0].path
            return first[:1] if first[0] == "pipeline" else first
        case "sql" | "sources":
            return next(((name,) for name in ("sql", "sql_file", "source") if name in family.origins), ())
        case "metrics":
            return ("evaluate", "metrics")
        case "max_failed":
            return ("max_failed",)
        case "pipeline" if rest:  # a step is its name and its call
            return ("pipeline", *_indexed([rest[0], *rest[2:]]))
        case _:
            return _indexed(list(path))


def _indexed(path: list[str]) -> KeyPath:
    return tuple(int(part) if part.isdecimal() else part for part in path)
