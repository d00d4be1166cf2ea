"""What depends on what: sources and families as a directed graph, walked up, down and in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property


def source_id(name: str) -> str:
    """Return the node of a source; that of a family is its name, and both may have the same one."""
    return f"source:{name}"


@dataclass(frozen=True)
class Graph:
    """Nodes and their parents.

    Attributes:
        nodes: ids in the order of the project.
        parents: by node, what it reads; a node that is not named reads nothing. Every parent is a node.
    """

    nodes: tuple[str, ...]
    parents: Mapping[str, tuple[str, ...]]

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """By node, what reads it."""
        found: dict[str, list[str]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for parent in dict.fromkeys(self.parents.get(node, ())):
                found[parent].append(node)
        return {node: tuple(children) for node, children in found.items()}

    def ancestors(self, *nodes: str, depth: int | None = None) -> frozenset[str]:
        """Return what nodes depend on.

        Args:
            nodes: where to begin; one of them is in the result only if another depends on it.
            depth: how many steps up to go; all if None.
        """
        return _reached(nodes, self.parents, depth)

    def descendants(self, *nodes: str, depth: int | None = None) -> frozenset[str]:
        """Return what depends on nodes, as `ancestors` does."""
        return _reached(nodes, self.children, depth)

    def find_cycle(self) -> tuple[str, ...] | None:
        """Return a cycle, each node followed by one that it reads and the first again at the end; None if none."""
        done: set[str] = set()
        for start in self.nodes:
            path: dict[str, None] = {}
            ahead = [(start, False)]
            while ahead:
                node, left = ahead.pop()
                if left:
                    del path[node]
                    done.add(node)
                elif node in path:
                    nodes = list(path)
                    return (*nodes[nodes.index(node) :], node)
                elif node not in done:
                    path[node] = None
                    ahead.append((node, True))
                    ahead += [(parent, False) for parent in reversed(self.parents.get(node, ()))]
        return None

    def in_order(self) -> tuple[str, ...]:
        """Return all nodes, parents before children, and otherwise in the order of the project.

        Raises:
            ValueError: there is a cycle.
        """
        place = {node: index for index, node in enumerate(self.nodes)}
        waiting = {node: len(set(self.parents.get(node, ()))) for node in self.nodes}
        ready = [place[node] for node, count in waiting.items() if not count]
        ordered: list[str] = []
        while ready:
            node = self.nodes[heapq.heappop(ready)]
            ordered.append(node)
            for child in self.children[node]:
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(ready, place[child])
        if len(ordered) < len(self.nodes):
            raise ValueError("the graph has a cycle")
        return tuple(ordered)


def _reached(start: Iterable[str], edges: Mapping[str, tuple[str, ...]], depth: int | None) -> frozenset[str]:
    found: set[str] = set()
    edge = set(start)
    while edge and depth != 0:
        edge = {node for before in edge for node in edges.get(before, ())} - found
        found |= edge
        depth = None if depth is None else depth - 1
    return frozenset(found)
