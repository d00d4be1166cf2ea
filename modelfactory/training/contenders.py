"""The estimators that may be fitted in a group, made once for all groups, and one fit of one of them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import config_context

from modelfactory.plan.costs import fit_seconds
from modelfactory.plan.steps import Candidate, FitStep
from modelfactory.training.batches import GroupRows, Rows
from modelfactory.training.clock import FitClock
from modelfactory.training.estimators import Template, make_template


@dataclass(slots=True)
class Contender:
    """A candidate that is ready to be fitted.

    Attributes:
        candidate: what it is.
        template: makes the estimator of each group; None where that cannot be made.
        error: why it cannot be made.
        checked: whether a fit has checked its parameters: they are the same in all groups.
    """

    candidate: Candidate
    template: Template | None
    error: Exception | None = None
    checked: bool = False

    @property
    def name(self) -> str:
        """The candidate as text."""
        return self.candidate.name

    def cost(self, rows: int, n_features: int) -> float:
        """Return the seconds that a fit is expected to take; no clock has a say in it."""
        return float(fit_seconds(self.candidate.estimator, np.array([float(rows)]), n_features)[0])

    def configured(self, *, finite: bool) -> AbstractContextManager[None]:
        """Spare scikit-learn the checks of what is known in the block.

        Args:
            finite: no number of the group is missing or infinite.
        """
        alone = self.template is not None and self.template.alone
        configured: AbstractContextManager[None] = config_context(
            assume_finite=finite and alone, skip_parameter_validation=self.checked
        )
        return configured

    def fitted(self, rows: GroupRows, chosen: Rows, clock: FitClock) -> Any:
        """Return a model that is fitted on some rows of a group.

        Args:
            rows: the group.
            chosen: which rows of it, shape (n,).
            clock: counts the seconds inside `fit`.

        Raises:
            Exception: of any type, such as the estimator's own.
        """
        if self.template is None:
            raise self.error or AssertionError("a contender has a template or an error")
        model = self.template.for_group(rows.group)
        features = rows.features(None if len(chosen) == len(rows) else chosen)
        weights = {} if rows.weight is None else {self.candidate.weight_parameter: rows.weight[chosen]}
        with clock.running():
            if rows.label is None:
                model.fit(features, **weights)
            else:
                model.fit(features, rows.label[chosen], **weights)
        self.checked = True
        return model


def make_contenders(step: FitStep) -> list[Contender]:
    """Return the contenders of a family, in the order of its candidates.

    Raises:
        Exception: of any type: none of them can be made.
    """
    found = [_contender(step, candidate) for candidate in step.candidates]
    errors = [contender.error for contender in found if contender.error is not None]
    if len(errors) == len(found):
        raise errors[0]
    return found


def _contender(step: FitStep, candidate: Candidate) -> Contender:
    try:
        template = make_template(candidate.estimator, step.seed)
    except Exception as error:
        return Contender(candidate, None, error)
    if step.linear_solve is not None:
        template = replace(template, random_states=())  # a direct solver draws nothing, here or in scikit-learn
    return Contender(candidate, template)
