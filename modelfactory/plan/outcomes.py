"""The closed list of statuses and the columns of the group table."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What came of one group in one version."""

    TRAINED = "trained"
    REUSED = "reused"
    TOO_FEW_ROWS = "too_few_rows"
    TOO_MANY_ROWS = "too_many_rows"
    NULL_KEY = "null_key"
    ONE_CLASS = "one_class"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"


SERVED = frozenset({Status.TRAINED, Status.REUSED})
"""Statuses of groups that have a model by right; one of a fault may serve its last good one, see `model_version`."""
FAULTS = frozenset({Status.FAILED, Status.TIMED_OUT, Status.CRASHED})
"""Statuses that count against `max_failed`."""
BY_CHANCE = frozenset({Status.TIMED_OUT, Status.CRASHED})
"""Faults that may have been the machine's: tried again, they may come out otherwise."""
INEXACT_NUMBER = "InexactNumber"
"""Type of the error of a group that fails by a rule, before any row of it is shipped."""


class BuildReason(StrEnum):
    """Why a build tried a group, or let stand what an earlier version said of it."""

    NEW = "new"
    """The current version does not have the group."""
    DATA = "data_changed"
    DEFINITION = "definition_changed"
    """What decides a model of given rows is another, or the group is no longer kept out by a rule."""
    ENVIRONMENT = "environment_changed"
    """Libraries are others than those that trained, and `retrain_on` names them."""
    METRICS = "metrics_changed"
    """A metric is asked for that was not measured."""
    REFRESH = "full_refresh"
    """Everything is trained again on request."""
    RETRY = "retry"
    """The group timed out or crashed before, which may come out otherwise; or it is tried again on request."""
    UNCHANGED = "unchanged"
    """Rows, definition and libraries are the same: so is what comes of them."""
    CHAMPION = "champion_stands"
    """It was trained, and lost against the model of the current version."""
    VANISHED = "vanished"
    """The input does not have the group any more; its model is kept."""


STANDING = frozenset({BuildReason.UNCHANGED, BuildReason.VANISHED})
"""Reasons for which a group is not trained."""


class Reason(StrEnum):
    """Why no model of its own group answered a row, besides the statuses of groups that have none."""

    UNSEEN = "unseen"
    """The group is not in the version's group table."""
    MISSING_VALUES = "missing_values"
    """A feature is null or NaN, and the model takes none such."""
    INFINITE_VALUES = "infinite_values"
    """A feature is infinite, and the model takes none such."""
    INEXACT_NUMBERS = "inexact_numbers"
    """A feature is a whole number that a double cannot hold."""
    PREDICT_FAILED = "predict_failed"
    """The model raised; the error stands behind it."""


OWN, NONE, GLOBAL = "group", "none", "global"
"""Who serves a row: the model of its own group, nobody; and the name of the model of all rows among fallbacks, which is
that of its table in a version too."""


def fallback_name(name: str) -> str:
    """Return what `served_by` says where a fallback answers: the family's name, or `global`."""
    return f"fallback:{name}"


ANSWER_COLUMNS = ("prediction", "probability", "model_version", "served_by", "reason")
"""Columns that scoring adds to a row; `probability` for classifiers only."""


def digest_text(n: int, high: int, low: int) -> str:
    """Write the digest of a group's usable rows, which does not depend on their order.

    Args:
        n: how many rows.
        high: sum of the upper 32 bits of the rows' hashes.
        low: sum of the lower 32 bits. Two sums of 32 bits cannot overflow, and unlike exclusive or they see a row
            that stands twice.
    """
    return f"{n:X}-{high:X}-{low:X}"


def rows_of_digest(digest: str) -> int:
    """Return how many usable rows a group has, out of its digest."""
    return int(digest.partition("-")[0], 16)


GROUP_COLUMNS = (
    "status",
    "n_rows",
    "n_train",
    "n_test",
    "metrics",
    "baseline",
    "fit_seconds",
    "cpu_seconds",
    "model_version",
    "model_bytes",
    "model_sha256",
    "data_digest",
    "error_type",
    "error",
    "warnings",
    "reason",
    "champion",
    "chosen",
    "candidates",
)
OUTCOME, GROUP_HASH = "outcome", "group_hash"
MODEL_COLUMNS = ("model", "format", "sha256", OUTCOME)
"""Columns of the model table after the group columns; `outcome` holds what the worker measured, and `group_hash` in it
the identity of the group."""
