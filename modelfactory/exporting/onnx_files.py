"""Write one ONNX file for each model of a family, and a table that tells which file is whose."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.exporting.exported import Exported, global_models
from modelfactory.scoring.answering import error_text
from modelfactory.scoring.forms import ModelForm
from modelfactory.serving.chain import Chain

INDEX = "index.parquet"
MATRIX = "features"
"""Name of the input of models that take all features in one tensor."""


def write_onnx(chain: Chain, folder: Path) -> Exported:
    """Write every model that skl2onnx can convert, and a row for every group in `index.parquet`.

    Numbers are float32 in the files. A model that was fitted from a matrix has one input, `features`, of shape (n, p);
    others have an input of shape (n, 1) for each feature, float or string, in the order of the features. The model of
    all rows is `global.onnx`.

    Args:
        chain: the family's own models first; of others only the model of all rows is looked at.
        folder: what to write.

    Returns:
        What came of the groups; if none was exported, no file of a model was written.

    Raises:
        InputError: a model may not be loaded.
    """
    own, whole = chain.links[0].models, global_models(chain)
    folder.mkdir()
    g = len(own.has_model)
    names: list[str | None] = [None] * g
    hashes: list[str | None] = [None] * g
    errors: list[str | None] = [None] * g
    for group, model in own.load_all():
        try:
            data = _converted(own.form, model)
        except _Refused as error:
            errors[group] = str(error)
            continue
        # Values of a key never name a file: they may hold anything.
        names[group], hashes[group] = f"{group:06d}.onnx", hashlib.sha256(data).hexdigest()
        (folder / f"{group:06d}.onnx").write_bytes(data)
    global_refused = None
    if whole is not None:
        try:
            (folder / "global.onnx").write_bytes(_converted(whole.form, whole.load(0)))
        except _Refused as error:
            global_refused = str(error)
    versions = pa.array(own.groups["model_version"].to_pylist(), pa.int32(), mask=~own.has_model)
    index = {name: own.groups[name] for name in (*own.keys, "status")}
    index |= {"model_version": versions, "model": pa.array(names, pa.string())}
    index |= {"sha256": pa.array(hashes, pa.string()), "error": pa.array(errors, pa.string())}
    pq.write_table(pa.table(index), folder / INDEX)
    written = sum(name is not None for name in names)
    return Exported(
        exported=written,
        without_model=int(np.count_nonzero(~own.has_model)),
        refused=Counter(error for error in errors if error is not None),
        global_refused=global_refused,
    )


class _Refused(Exception):
    """A model cannot be converted; its text says why."""


def _converted(form: ModelForm, model: Any) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    if form.container == "matrix":
        inputs = [(MATRIX, FloatTensorType([None, len(form.features)]))]
    else:
        types = {"numeric": FloatTensorType, "categorical": StringTensorType}
        inputs = [(feature.name, types[feature.kind]([None, 1])) for feature in form.features]
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = to_onnx(model, initial_types=inputs, options=options)
        except Exception as error:  # what a converter does not know, it finds out in its own way
            raise _Refused(error_text(error)) from error
    data: bytes = found.SerializeToString()
    return data
