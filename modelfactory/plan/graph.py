"""The graph of a project: what each family depends on. Knowing it takes the rendering of every `sql`."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from modelfactory.plan.outcomes import GLOBAL
from modelfactory.project.graph import Graph, source_id
from modelfactory.project.loading import Family, Project


def project_graph(project: Project, environ: Mapping[str, str]) -> tuple[Graph, frozenset[str]]:
    """Return the graph of a project's sources and families.

    Args:
        project: the project.
        environ: the environment, for `env_var()` in conditions.

    Returns:
        The graph, and the names of the families whose SQL cannot be rendered: they have no parents in it, and the
        compiler says what is wrong with them.
    """
    nodes = (*map(source_id, project.sources), *(family.name for family in project.families))
    edges = _Edges(project, frozenset(nodes), environ)
    parents = {family.name: edges.parents(family) for family in project.families}
    return Graph(nodes, parents), frozenset(edges.broken)


_Read = tuple[tuple[str, ...], tuple[str, ...]]
"""Names of sources and of families that a query reads."""
_NOTHING: _Read = ((), ())


class _Edges:
    """Finds what families read; queries of the same text are rendered once."""

    def __init__(self, project: Project, nodes: frozenset[str], environ: Mapping[str, str]) -> None:
        self.project = project
        self.nodes = nodes
        self.names = [family.name for family in project.families]
        self.environ = environ
        self.broken: set[str] = set()
        self.read_by = functools.cache(self._read_by)

    def parents(self, family: Family) -> tuple[str, ...]:
        """Return the nodes that a family depends on: sources, families that it reads, and the one that stands in."""
        sources, families = self._read(family)
        fallback = family.spec.fallback
        stands_in = [] if fallback in (None, GLOBAL) else [fallback]
        found = (*map(source_id, sources), *families, *stands_in)
        return tuple(node for node in dict.fromkeys(found) if node in self.nodes)

    def _read(self, family: Family) -> _Read:
        if family.spec.source is not None:
            return (family.spec.source,), ()
        if family.query is None:
            return _NOTHING
        read = self.read_by(family.query)
        if read is None:
            self.broken.add(family.name)
        return read or _NOTHING

    def _read_by(self, query: str) -> _Read | None:
        """Return the sources and the families that a query reads, or None if it cannot be rendered."""
        if "{" not in query:
            return _NOTHING
        from modelfactory.plan.rendering import SqlTemplateError, render_sql  # Jinja is for those who use it

        try:
            rendered = render_sql(
                query,
                relations={name: name for name in self.project.sources},
                families=self.names,
                variables=self.project.variables,
                environ=self.environ,
                target=self.project.target_name,
            )
        except SqlTemplateError:
            return None
        return rendered.sources, rendered.refs
