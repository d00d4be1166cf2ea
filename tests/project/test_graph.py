"""The graph: walked up, down and in order; checked against sets that are closed step by step."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.project.graph import Graph, source_id

CHAIN = Graph(("source:s", "a", "b", "c"), {"a": ("source:s",), "b": ("a",), "c": ("b",)})


@st.composite
def graphs(draw: st.DrawFn, *, acyclic: bool = True) -> Graph:
    nodes = tuple(draw(st.permutations([f"n{i}" for i in range(draw(st.integers(0, 8)))])))
    parents = {}
    for node in nodes:
        # Parents have a smaller number, in whatever order the nodes come.
        possible = [other for other in nodes if other < node] if acyclic else list(nodes)
        parents[node] = tuple(draw(st.lists(st.sampled_from(possible), max_size=3))) if possible else ()
    return Graph(nodes, parents)


def above(graph: Graph, nodes: set[str], steps: int) -> set[str]:
    """Close a set step by step."""
    found: set[str] = set()
    for _ in range(steps):
        found |= {parent for node in nodes | found for parent in graph.parents.get(node, ())}
    return found


@pytest.mark.parametrize(
    ("depth", "up", "down"),
    [(None, {"source:s", "a"}, {"c"}), (0, set(), set()), (1, {"a"}, {"c"}), (9, {"source:s", "a"}, {"c"})],
)
def test_walking_ends_after_so_many_steps(depth: int | None, up: set[str], down: set[str]) -> None:
    assert CHAIN.ancestors("b", depth=depth) == up
    assert CHAIN.descendants("b", depth=depth) == down


def test_a_source_and_a_family_may_have_one_name() -> None:
    graph = Graph((source_id("x"), "x"), {"x": (source_id("x"),)})
    assert graph.ancestors("x") == {source_id("x")}
    assert graph.find_cycle() is None


@settings(deadline=None)
@given(graphs(), st.data(), st.integers(0, 4))
def test_ancestors_are_the_closure_of_parents_and_descendants_its_reverse(
    graph: Graph, data: st.DataObject, depth: int
) -> None:
    start = set(data.draw(st.lists(st.sampled_from(graph.nodes)))) if graph.nodes else set()
    assert graph.ancestors(*start, depth=depth) == above(graph, start, depth)
    assert graph.ancestors(*start) == above(graph, start, len(graph.nodes))
    assert graph.descendants(*start) == {node for node in graph.nodes if graph.ancestors(node) & start}
    assert graph.descendants(*start, depth=depth) == {
        node for node in graph.nodes if graph.ancestors(node, depth=depth) & start
    }


@settings(deadline=None)
@given(graphs())
def test_parents_come_first_and_the_rest_stays_as_it_is(graph: Graph) -> None:
    ordered = graph.in_order()
    assert sorted(ordered) == sorted(graph.nodes)
    place = {node: index for index, node in enumerate(ordered)}
    assert all(place[parent] < place[node] for node in graph.nodes for parent in graph.parents[node])
    for before, node in itertools.pairwise(ordered):
        # A node that stands earlier in the project comes later only if it had to wait for the one before it.
        assert graph.nodes.index(before) < graph.nodes.index(node) or before in graph.parents[node]
    assert graph.find_cycle() is None


def test_without_edges_the_order_is_that_of_the_project() -> None:
    assert Graph(("b", "c", "a"), {}).in_order() == ("b", "c", "a")


@settings(deadline=None)
@given(graphs(acyclic=False))
def test_a_cycle_is_found_if_there_is_one(graph: Graph) -> None:
    cycle = graph.find_cycle()
    assert (cycle is not None) == any(node in graph.ancestors(node) for node in graph.nodes)
    if cycle is None:
        assert len(graph.in_order()) == len(graph.nodes)
        return
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    assert all(after in graph.parents[node] for node, after in itertools.pairwise(cycle))
    with pytest.raises(ValueError, match="cycle"):
        graph.in_order()


def test_a_chain_of_thousands_is_no_deeper_than_python_goes() -> None:
    nodes = tuple(f"n{i}" for i in range(5000))
    graph = Graph(nodes, {node: (before,) for before, node in itertools.pairwise(nodes)})
    assert graph.find_cycle() is None
    assert graph.in_order() == nodes
    assert len(graph.descendants("n0")) == 4999
