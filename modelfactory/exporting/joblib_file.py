"""Write all models of a family into one file of joblib, which needs the models' own libraries alone."""

from __future__ import annotations

from pathlib import Path

import joblib

from modelfactory.exporting.exported import Exported, all_exported, global_models
from modelfactory.serving.chain import Chain

_COMPRESSION = ("zlib", 3)


def write_joblib(chain: Chain, file: Path) -> Exported:
    """Write the models of a family, and the model of all rows where it stands in.

    The file holds a dict of plain Python: `family`, `version`, `libraries` by name, the names in `group_by` and
    `features`, `models` by the tuple of a group's key, and `global_model`, None without one. All models are in memory
    on the way.

    Args:
        chain: the family's own models first; of others only the model of all rows is looked at.
        file: what to write.

    Raises:
        InputError: a model may not be loaded.
    """
    own, whole = chain.links[0].models, global_models(chain)
    columns = [own.groups[name].to_pylist() for name in own.keys]
    by_group = dict(own.load_all())
    models = {tuple(column[group] for column in columns): by_group[group] for group in sorted(by_group)}
    content = {
        "family": own.family,
        "version": own.record.number,
        "libraries": dict(own.record.libraries),
        "group_by": list(own.keys),
        "features": [feature.name for feature in own.record.features],
        "models": models,
        "global_model": None if whole is None else whole.load(0),
    }
    joblib.dump(content, file, compress=_COMPRESSION)
    return all_exported(own)
