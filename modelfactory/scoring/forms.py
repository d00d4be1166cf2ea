"""How the models of one version take rows and answer: all that is needed besides their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelfactory.plan.metrics import Task
from modelfactory.plan.steps import Feature

AnswerType = Literal["double", "bigint", "boolean", "string"]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as the model table has it: its bytes, how they were written, and their SHA-256 in hexadecimal."""

    data: bytes
    format: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForm:
    """How the models of a version take rows and answer.

    Attributes:
        task: what kind of model they are.
        features: the columns that they see, in their order.
        container: `matrix` if they were fitted from a NumPy matrix, `frame` if from a pandas DataFrame.
        answer: type of a prediction: `double` for regressors, that of the label for classifiers, `bigint` for others.
        classes: all classes that a model of the version knows, as text; None if they are not known.
        packages: top-level packages besides scikit-learn's own whose classes may be loaded.
    """

    task: Task
    features: tuple[Feature, ...]
    container: Literal["matrix", "frame"]
    answer: AnswerType
    classes: tuple[str, ...] | None = None
    packages: frozenset[str] = frozenset()

    @property
    def has_probability(self) -> bool:
        """Whether answers hold a probability for each class; one that a model cannot give is null."""
        return self.task == "classification"
