"""What can be declared can be judged."""

from __future__ import annotations

from modelfactory.project import test_specs
from modelfactory.testing import registry


def test_every_test_that_may_be_written_is_in_the_registry() -> None:
    assert list(registry.REGISTRY) == list(test_specs.TestSpec.model_fields)
