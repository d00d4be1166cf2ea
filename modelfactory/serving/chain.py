"""Who answers for whom: the models of a family, those of the family that stands in for it, and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.diagnostics import Code, input_error
from modelfactory.plan.outcomes import GLOBAL, NONE, OWN, SERVED, Reason, fallback_name
from modelfactory.plan.steps import Feature
from modelfactory.serving.models import VersionModels


@dataclass(frozen=True, slots=True)
class Link:
    """Models that answer where those before them have none.

    Attributes:
        served_by: what a row says that they answer.
        models: the models.
        start: number of their first group, where the groups of all links are numbered through.
    """

    served_by: str
    models: VersionModels
    start: int


class Chain:
    """The models that answer the rows of a family, in the order in which they are asked.

    Args:
        links: the family's own first.

    Raises:
        InputError: their answers are of different types.
    """

    def __init__(self, links: Sequence[tuple[str, VersionModels]]) -> None:
        found, start = [], 0
        for served_by, models in links:
            found.append(Link(served_by, models, start))
            start += len(models.has_model)
        self.links = tuple(found)
        first, *others = found
        for other in others:
            own, theirs = first.models.form.answer, other.models.form.answer
            if own != theirs:
                message = f"`{first.models.family}` predicts {own}, its fallback `{other.models.family}` {theirs}"
                raise input_error(Code.CONFLICT, message)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Every feature that any of the models sees, each once."""
        return tuple(dict.fromkeys(f for link in self.links for f in link.models.form.features))

    @property
    def servers(self) -> tuple[str, ...]:
        """All that `served_by` may say."""
        return (*(link.served_by for link in self.links), NONE)

    @property
    def reasons(self) -> tuple[str, ...]:
        """All that `reason` may say, or begin with."""
        own = self.links[0].models
        statuses = pc.unique(own.groups["status"].filter(pa.array(~own.has_model))).to_pylist()
        return tuple(dict.fromkeys([*statuses, *map(str, Reason)]))

    @property
    def gives_probability(self) -> bool:
        """Whether answers hold a probability for each class."""
        return any(link.models.form.has_probability for link in self.links)


def chain_of(models: VersionModels, version_of: Callable[[str], VersionModels | None], *, fallback: bool) -> Chain:
    """Return the chain of a family.

    Args:
        models: its own models.
        version_of: returns the current version of another family, None if it was never built.
        fallback: whether others stand in.

    Raises:
        InputError: a family that is to stand in was never built, or predicts something else.
    """
    others = _fallbacks(models, version_of) if fallback else ()
    return Chain([(OWN, models), *others])


def _fallbacks(
    models: VersionModels, version_of: Callable[[str], VersionModels | None]
) -> Iterator[tuple[str, VersionModels]]:
    seen = {models.family}
    while (name := models.record.definition.get("fallback")) is not None and name not in seen:
        if name == GLOBAL:
            if models.record.global_model is not None and models.record.global_model.status in SERVED:
                yield fallback_name(GLOBAL), models.whole()
            return
        other = version_of(name)
        if other is None:
            message = f"family `{name}`, which stands in for `{models.family}`, was never built"
            raise input_error(Code.NOT_BUILT, message, help=f"`mf build --select {name}`, or score without fallback")
        yield fallback_name(name), other
        models = other
        seen.add(name)
