"""What MLflow runs to load an exported family; each export holds a copy of this file.

It routes every row to the model of its group, by the library that has exported it.
"""

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

import modelfactory as mf


class RoutedFamily(PythonModel):
    """A family whose store is beside it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the store; models are loaded when rows ask for them."""
        wanted = context.model_config
        store = mf.open_store(
            context.artifacts["store"],
            packages=wanted["packages"],
            allow_version_mismatch=wanted["allow_version_mismatch"],
        )
        self.family = store.family(wanted["family"])
        self.fallback = wanted["fallback"]

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return an answer for every row, as `Family.predict` does."""
        answers: pd.DataFrame = self.family.predict(model_input, fallback=self.fallback)
        return answers


set_model(RoutedFamily())
