"""The graph of a project: what families read, by `source` and by the calls in their SQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import PROJECTS, load, write_project

from modelfactory.plan import rendering
from modelfactory.plan.graph import project_graph
from modelfactory.project.graph import Graph, source_id
from modelfactory.project.loading import load_project


def family(name: str, given: str) -> str:
    return f"- {{name: {name}, group_by: k, features: x, label: y, estimator: Ridge, {given}}}\n"


def project_folder(folder: Path, *families: str) -> Path:
    files = {
        "mf_project.yml": "name: p\nvars: {wide: true}\n",
        "sources/s.yml": "sources: [{name: s, path: s.csv}, {name: t, path: t.csv}, {name: f, path: f.csv}]",
        "families/f.yml": "families:\n" + "".join(families),
        "q.sql": "select * from {{ source('s') }} join {{ source('t') }} join {{ source('s') }}",
    }
    return write_project(folder, files)


def graph_of(folder: Path, *families: str) -> tuple[Graph, frozenset[str]]:
    return project_graph(load(project_folder(folder, *families)), {"WHERE": "here"})


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        ("source: s", ["s"]),
        ("sql: \"select * from {{ source('t') }}\"", ["t"]),
        ("sql_file: q.sql", ["s", "t"]),
        ("sql: select 1", []),
        ("sql: \"{% if var('wide') %}{{ source('s') }}{% else %}{{ source('t') }}{% endif %}\"", ["s"]),
        ("sql: \"{% if env_var('WHERE') == 'here' and target == 'local' %}{{ source('t') }}{% endif %}\"", ["t"]),
    ],
)
def test_a_family_has_the_sources_it_reads_as_parents(tmp_path: Path, given: str, sources: list[str]) -> None:
    graph, broken = graph_of(tmp_path, family("f", given))
    assert graph.nodes == ("source:s", "source:t", "source:f", "f")
    assert graph.parents["f"] == tuple(map(source_id, sources))
    assert not broken


def test_a_family_depends_on_those_it_reads_and_on_the_one_that_stands_in(tmp_path: Path) -> None:
    coarse = family("coarse", "source: s")
    reads = family("reads", "sql: \"select * from {{ ref('coarse') }} join {{ source('t') }}\", fallback: coarse")
    last = family("last", "sql: \"select * from {{ ref('reads') }}\"")
    graph, broken = graph_of(tmp_path, last, reads, coarse)
    assert graph.parents["reads"] == ("source:t", "coarse")
    assert graph.descendants("source:s") == {"coarse", "reads", "last"}
    assert graph.in_order()[3:] == ("coarse", "reads", "last")
    assert not broken


def test_sql_that_cannot_be_rendered_has_no_parents_and_is_told(tmp_path: Path) -> None:
    bad = family("bad", "sql: \"{{ source('s') }} {{ nope }}\"")
    gone = family("gone", "sql: \"{{ source('nope') }}\"")
    lost = family("lost", "sql: \"{{ ref('nope') }}\"")
    graph, broken = graph_of(tmp_path, family("f", "source: s"), bad, gone, lost)
    assert broken == {"bad", "gone", "lost"}
    assert graph.descendants("source:s") == {"f"}


def test_a_source_that_is_not_there_is_no_node(tmp_path: Path) -> None:
    folder = project_folder(tmp_path, family("f", "source: nope"))
    project, _ = load_project(folder / "mf_project.yml", variables={}, environ={})
    graph, _ = project_graph(project, {})
    assert graph.parents["f"] == ()


def test_queries_of_one_text_are_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    render = rendering.render_sql
    monkeypatch.setattr(rendering, "render_sql", lambda text, **kw: (rendered.append(text), render(text, **kw))[1])
    query = "sql: \"select * from {{ source('t') }}\""
    graph, _ = graph_of(tmp_path, family("a", query), family("b", query), family("c", "source: s"))
    assert graph.children["source:t"] == ("a", "b")
    assert len(rendered) == 1


def test_the_graph_of_the_flights() -> None:
    project = load(PROJECTS / "flights")
    graph, _ = project_graph(project, {})
    assert graph.descendants("source:flights") == {family.name for family in project.families}
