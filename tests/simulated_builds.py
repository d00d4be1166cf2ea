"""Builds without Spark: a census that a test makes up, and workers that say what the test wants them to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import RecordingReporter, workspace_of

from modelfactory.commands import train
from modelfactory.commands.foreseeing import foresee
from modelfactory.commands.plans import PlannedGroups
from modelfactory.commands.report import FamilyResult
from modelfactory.commands.run import new_run_id, start_run
from modelfactory.commands.scope import WHAT_CHANGED, Scope
from modelfactory.commands.work import Work, work_of
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import InputError
from modelfactory.plan.outcomes import digest_text
from modelfactory.plan.schedule import GLOBAL_GROUP, Census
from modelfactory.spark.census import CensusTable
from modelfactory.spark.training import GLOBAL_FOLDER, MODELS_FOLDER
from modelfactory.store.groups import read_groups
from modelfactory.store.manifest import Manifest, VersionRecord
from modelfactory.training.schema import MODEL_FIELDS, OUTCOME_SCHEMA

NEEDED: Any = None
"""Stands for what no simulated build asks."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of a made-up input.

    Attributes:
        rows: usable rows.
        unlabelled: further rows, without a label.
        content: number of what the rows hold.
        inexact: whether a number of theirs is inexact.
        one_class: whether all labels are equal.
        fate: status that the workers report of it.
        others: further columns of the outcome.
    """

    rows: int = 30
    unlabelled: int = 0
    content: int = 0
    inexact: bool = False
    one_class: bool = False
    fate: str = "trained"
    others: Mapping[str, Any] = field(default_factory=dict)


class Simulated:
    """The family `f` of a project, built again and again.

    Args:
        folder: the project.
        patch: takes Spark's part.
        key: type of the group column.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, key: pa.DataType | None = None) -> None:
        self.folder = folder
        self.key = key or pa.string()
        self._run = start_run(folder)
        self._opened: tuple[str, Workspace] | None = None
        self.libraries = dict(self._run.libraries)
        self.label_type: str | None = None
        self.global_fate = "trained"
        self.trained: list[Any] = []
        self._patch = patch

    @property
    def manifest(self) -> Manifest | None:
        return self._workspace.store.manifest("f")

    @property
    def current(self) -> VersionRecord:
        manifest = self.manifest
        assert manifest is not None
        version = manifest.version()
        assert version is not None
        return version

    @property
    def _workspace(self) -> Workspace:
        text = (self.folder / "families/f.yml").read_text(encoding="utf-8")
        if self._opened is None or self._opened[0] != text:
            self._opened = (text, workspace_of(self.folder))
        return self._opened[1]

    def groups(self) -> list[dict[str, Any]]:
        """Return the current group table."""
        files = self._workspace.store.files("f", self.current, "groups")
        return read_groups(files).to_pylist(maps_as_pydicts="strict")

    def outcomes(self) -> dict[Any, tuple[Any, ...]]:
        """Return status, reason and version of the model of each group; no group stands there twice."""
        groups = self.groups()
        found = {g["k"]: (g["status"], g["reason"], g["model_version"]) for g in groups}
        assert len(found) == len(groups)
        return found

    def census(self, groups: Mapping[Any, Group]) -> CensusTable:
        given = list(groups.values())
        keys = pa.array(list(groups), self.key)
        return CensusTable(
            keys=pa.table({"k": keys}),
            digests=pa.chunked_array([[digest_text(g.rows, g.content, g.content) for g in given]], pa.string()),
            census=Census(
                group=np.array([_hashed(self.key, key) for key in groups], dtype=np.int64),
                n_rows=np.array([g.rows + g.unlabelled for g in given]),
                n_usable=np.array([g.rows for g in given]),
                null_key=np.array([key is None for key in groups]),
                one_class=np.array([g.one_class for g in given]),
                inexact=np.array([g.inexact for g in given]),
            ),
        )

    def plan(self, groups: Mapping[Any, Group], scope: Scope = WHAT_CHANGED) -> PlannedGroups:
        """Tell what a build would do."""
        return foresee(self._work(groups, scope), slots=2)

    def _work(self, groups: Mapping[Any, Group], scope: Scope) -> Work:
        workspace = self._workspace
        return work_of(
            workspace.store,
            workspace.plan.steps[0],
            self._input(),
            self.census(groups),
            self.libraries,
            slots=2,
            scope=scope,
            packages=frozenset(),
        )

    def champions(self, groups: Mapping[Any, Group]) -> dict[Any, int]:
        """Return the versions whose models new ones would have to beat."""
        found = self._work(groups, WHAT_CHANGED).champions
        versions = [] if found is None else found.version.tolist()
        return {key: version for key, version in zip(groups, versions, strict=False) if version >= 0}

    def build(self, groups: Mapping[Any, Group], scope: Scope = WHAT_CHANGED) -> FamilyResult:
        """Build the family."""
        workspace, found = self._workspace, self.census(groups)
        run = replace(self._run, run_id=new_run_id(), libraries=dict(self.libraries))
        by_identity = dict(zip(found.census.group.tolist(), groups.items(), strict=True))
        self.trained = []

        def train_groups(
            _: Any, step: Any, table: Any, looked_at: CensusTable, schedule: Any, *, staging: Any, **__: Any
        ) -> dict[str, pa.ChunkedArray]:
            rows = []
            for identity in looked_at.census.group[schedule.to_train].tolist():
                key, group = by_identity[identity]
                self.trained.append(key)
                rows.append(_outcome(identity, group, step.fit))
            if schedule.global_fit is not None:
                self.trained.append("global")
                rows.append(_outcome(GLOBAL_GROUP, Group(fate=self.global_fate), step.fit))
            kept = [(row, by_identity.get(row["_mf_group"], (None,))[0]) for row in rows if row["model"]]
            for name, is_global in ((MODELS_FOLDER, False), (GLOBAL_FOLDER, True)):
                own = [(row, key) for row, key in kept if (row["_mf_group"] == GLOBAL_GROUP) == is_global]
                _write_models(Path(staging.path) / name, own, {} if is_global else {"k": self.key})
            outcomes = pa.Table.from_pylist(rows, schema=OUTCOME_SCHEMA)
            names = [n for n in [*OUTCOME_SCHEMA.names, "sha256"] if n not in ("model", "format", "_mf_fitted")]
            return {name: outcomes[name] for name in names}

        self._patch.setattr(train, "census_of", lambda *_, **__: found)
        self._patch.setattr(train, "slots_of", lambda _: 2)
        self._patch.setattr(train, "train_groups", train_groups)
        # Digests of rows of different groups do not add up here.
        self._patch.setattr("modelfactory.commands.global_model._as_counted", lambda *_: True)
        return train.train_family(
            NEEDED,
            workspace,
            workspace.plan.steps[0],
            self._input(),
            NEEDED,
            run,
            RecordingReporter(),
            scope=scope,
            go_on=lambda: None,
        )

    def refused(self, groups: Mapping[Any, Group], scope: Scope) -> str:
        """Return what a build says that cannot begin."""
        with pytest.raises(InputError) as error:
            self.build(groups, scope)
        return error.value.diagnostics[0].message

    def _input(self) -> Any:
        return SimpleNamespace(keys=("k",), label_type=self.label_type, refs={})


def _hashed(kind: pa.DataType, key: Any) -> int:
    return int.from_bytes(hashlib.sha256(f"{kind}/{key}".encode()).digest()[:7], "big")


def _outcome(identity: int, group: Group, fit: Any) -> dict[str, Any]:
    fitted = group.fate == "trained"
    names = fit.evaluation.measured if fit.evaluation else ()
    model = f"{identity}/{group.content}".encode() if fitted else None
    return {
        "_mf_group": identity,
        "_mf_fitted": fitted,
        "status": group.fate,
        "data_digest": digest_text(group.rows, group.content, group.content),
        "n_train": group.rows if fitted else 0,
        "n_test": 0,
        "metrics": dict.fromkeys(names, 1.0) if fitted else {},
        "baseline": {},
        "fit_seconds": 0.1,
        "cpu_seconds": 0.1,
        "model": model,
        "format": "pickle" if fitted else None,
        "sha256": hashlib.sha256(model).hexdigest() if model else None,
        "model_bytes": len(model) if model else None,
        "error_type": "ValueError" if group.fate == "failed" else None,
        "error": "bad rows" if group.fate == "failed" else None,
        "warnings": [],
        "classes": [],
        "champion": {},
        "candidates": {},
        **group.others,
    }


def _write_models(folder: Path, rows: Sequence[tuple[dict[str, Any], Any]], keys: Mapping[str, pa.DataType]) -> None:
    if not rows:
        return
    folder.mkdir(parents=True)
    table = pa.table({name: pa.array([key for _, key in rows], kind) for name, kind in keys.items()})
    for name in MODEL_FIELDS:
        column = pa.array([row[name] for row, _ in rows], OUTCOME_SCHEMA.field(name).type)
        table = table.append_column(name, column) if len(table.column_names) else pa.table({name: column})
    measured = [{"group_hash": row["_mf_group"], "n_train": row["n_train"], "cpu_seconds": 0.1} for row, _ in rows]
    pq.write_table(table.append_column("outcome", pa.array(measured)), folder / "part-0.parquet")
