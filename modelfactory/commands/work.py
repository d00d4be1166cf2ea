"""What a build has to do for one family: the census compared with the version that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from modelfactory.commands.accounting import data_fingerprint
from modelfactory.commands.counting import measured_before
from modelfactory.commands.former import Former, former_of, measured_by
from modelfactory.commands.scope import Scope
from modelfactory.diagnostics import Code, input_error
from modelfactory.plan.fingerprint import plain
from modelfactory.plan.outcomes import BY_CHANCE, FAULTS, SERVED, Status, rows_of_digest
from modelfactory.plan.schedule import Schedule, schedule_groups, schedule_nothing
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.spark.inputs import Input
from modelfactory.spark.training import StoredChampions
from modelfactory.store.candidates import candidate_of
from modelfactory.store.holding import overtaken
from modelfactory.store.manifest import GlobalModelRecord, VersionRecord
from modelfactory.store.store import Store
from modelfactory.store.versions import MODELS

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done for a family.

    Attributes:
        found: the census, of the groups that are looked at.
        former: the version that the build goes on from.
        candidate: that version, where it was held back and is not published.
        schedule: what becomes of each group.
        data: fingerprint of the data that the next version knows.
        rows_without_label: rows of the next version that cannot be trained on.
        global_model: the former version's model of all rows, where it stands.
        champions: the models that new ones have to beat, if there is a contest.
        measured: metrics that all models of the next version are measured by.
        nothing_to_do: whether the next version would be what the former one is.
    """

    found: CensusTable
    former: Former
    candidate: VersionRecord | None
    schedule: Schedule
    data: str
    rows_without_label: int
    global_model: GlobalModelRecord | None
    champions: StoredChampions | None
    measured: list[str]
    nothing_to_do: bool

    def check_base(self, store: Store, family: str) -> None:
        """See that the version that this goes on from still is the latest; under a hold it stays so.

        Raises:
            StoreLocked: another build has published since.
        """
        if self.candidate is not None:
            held_back = candidate_of(store, family, store.manifest(family))
            now = held_back.version if held_back else None
        else:
            now = store.current(family)
        # Where groups were forgotten, it is the same version in other files.
        if (now and now.files) != (self.former.version and self.former.version.files):
            raise overtaken(family)


def work_of(
    store: Store,
    step: TrainStep,
    table: Input,
    found: CensusTable,
    libraries: Mapping[str, str],
    *,
    slots: int,
    scope: Scope,
    packages: frozenset[str],
) -> Work:
    """Compare a census with what the store has, and decide what becomes of every group.

    Args:
        store: the store.
        step: the family's step.
        table: its input.
        found: the census of the whole input.
        libraries: versions of what would train.
        slots: how many tasks Spark runs at once.
        scope: which groups are looked at.
        packages: packages besides scikit-learn's own whose classes may be loaded.

    Raises:
        InputError: the store cannot be read; or the last run's groups are to be tried again, and the definition is
            another by now.
    """
    manifest = store.manifest(step.family)
    retries = step.family in scope.retry
    held_back = candidate_of(store, step.family, manifest) if scope.retry.get(step.family) == "candidate" else None
    candidate = held_back.version if held_back else None
    version = candidate or (manifest.version() if manifest else None)
    versions = [*(manifest.versions if manifest else ()), *([candidate] if candidate else ())]
    former = former_of(
        store, step, table, found, libraries, version=version, versions=versions, full_refresh=scope.full_refresh
    )
    data = data_fingerprint(found)
    without_label = int((found.census.n_rows - found.census.n_usable).sum())
    if retries and version is not None:
        _check_same_definition(step, version)
        faulty = _faulty(former)
        former, found, data = former.only(faulty), found.take(faulty), version.fingerprints.data
        without_label = version.rows_without_label + _more_without_label(former, found)
    global_model = _standing_global_model(step, version, data, libraries, scope, retries=retries)
    schedule = schedule_groups(
        step,
        found.census,
        slots=slots,
        measured=lambda: measured_before(store, step, version, versions),
        stands=former.stands,
        global_stands=global_model is not None,
    )
    if candidate is not None and schedule.n_bins == 0:
        raise input_error(
            Code.BAD_OPTION,
            f"no group that failed in the candidate of family `{step.family}` can be tried again: the input does not "
            "have it any more, or a rule keeps it out",
            help=f"`mf build --select {step.family}` makes another candidate",
        )
    return Work(
        found=found,
        former=former,
        candidate=candidate,
        schedule=schedule_nothing(step) if scope.empty else schedule,
        data=data,
        rows_without_label=without_label,
        global_model=global_model,
        champions=_champions(store, step, former, versions, libraries, packages),
        measured=_measured(step, former),
        nothing_to_do=schedule.n_bins == 0
        and version is not None
        and (retries or _is_same(step, version, former, found, data)),
    )


def _measured(step: TrainStep, former: Former) -> list[str]:
    """Return the metrics that all models are measured by: those that nobody looks at may lack a new one."""
    wanted = step.fit.evaluation.measured if step.fit.evaluation else ()
    if former.version is None or former.others_stay != "all":
        return list(wanted)
    return [metric for metric in wanted if metric in measured_by(former.version)]


def _is_same(step: TrainStep, version: VersionRecord, former: Former, found: CensusTable, data: str) -> bool:
    """Tell whether a version says of definition and groups what the next one would say."""
    prints, meaning = version.fingerprints, version.meaning
    rows = int(former.groups["n_rows"].to_numpy().sum()) == int(found.census.n_rows.sum())
    return (
        rows
        and len(former.staying) == len(former.others)
        and prints.data == data
        and (prints.definition, prints.metadata, prints.parents)
        == (step.definition_fingerprint, step.metadata_fingerprint, step.parents_fingerprint)
        and meaning is not None
        and meaning.tests == plain(step.meaning.tests)
    )


def _standing_global_model(
    step: TrainStep,
    version: VersionRecord | None,
    data: str,
    libraries: Mapping[str, str],
    scope: Scope,
    *,
    retries: bool,
) -> GlobalModelRecord | None:
    """Return the model of all rows of a version, if the next one has the same; its rows are those of all groups."""
    found = version.global_model if version else None
    if version is None or found is None or not step.has_global_model or scope.full_refresh:
        return None
    if not retries and not _global_model_is_same(step, version, found, data, libraries):
        return None
    number = version.number if found.model_version is None else found.model_version
    has_model = found.status in SERVED
    return found.model_copy(
        update={"model_version": number if has_model else None, "fit_seconds": None, "cpu_seconds": None}
    )


def _global_model_is_same(
    step: TrainStep, version: VersionRecord, found: GlobalModelRecord, data: str, libraries: Mapping[str, str]
) -> bool:
    """Tell whether nothing has changed that decides the model of all rows; a fault stands as that of a group does."""
    prints, same_libraries = version.fingerprints, version.libraries == dict(libraries)
    wanted = set(step.fit.evaluation.measured) if step.fit.evaluation else set()
    return (
        (prints.data, prints.definition) == (data, step.definition_fingerprint)
        and wanted <= set(measured_by(version))
        and found.status not in BY_CHANCE
        and (same_libraries or not (found.status == Status.FAILED or "environment" in step.retrain_on))
    )


def _champions(
    store: Store,
    step: TrainStep,
    former: Former,
    versions: Sequence[VersionRecord],
    libraries: Mapping[str, str],
    packages: frozenset[str],
) -> StoredChampions | None:
    """Return the models that new ones have to beat: those that were not fitted on rows that new ones are measured on.

    Rows are held out by a hash of their content, so a row that is held out now was so before, if the share, the seed
    and the columns were the same. But of a group with one row to fit on, that may be any. Nor is a model of other
    libraries one to beat where those are a reason to train: it would win and be trained anew, build after build.
    """
    last = former.last_good
    if step.contest is None or not (last >= 0).any():
        return None
    alike = {
        version.number: version
        for version in versions
        if version.meaning is not None
        and all(version.meaning.models.get(key) == plain(step.meaning.models.get(key)) for key in _DECIDE_HOLDOUT)
        and _can_be_met(step, version.libraries, libraries)
    }
    rows = pa.array(last, mask=last < 0)
    number = former.groups["model_version"].take(rows).fill_null(-1).to_numpy().astype(np.int64)
    fitted_on = former.groups["n_train"].take(rows).fill_null(0).to_numpy()
    number[(fitted_on < 2) | ~np.isin(number, list(alike))] = -1
    urls = {n: store.table_url(step.family, alike[n], MODELS) for n in np.unique(number).tolist() if n >= 0}
    return StoredChampions(step.contest, number, urls, packages) if urls else None


def _can_be_met(step: TrainStep, old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    if "environment" in step.retrain_on:
        return dict(old) == dict(new)
    return old.get("scikit-learn") == new.get("scikit-learn")


_DECIDE_HOLDOUT = ("evaluate", "seed", "weight")
"""Keys that decide which rows are held out, beside features and label, without which a model could not serve."""


def _check_same_definition(step: TrainStep, version: VersionRecord) -> None:
    if version.fingerprints.definition != step.definition_fingerprint:
        raise input_error(
            Code.BAD_OPTION,
            f"the definition of family `{step.family}` has changed since its last run",
            help=f"`mf build --select {step.family}` trains what has changed",
        )


def _faulty(former: Former) -> npt.NDArray[np.bool_]:
    """Tell which groups of a census failed, timed out or crashed before."""
    rows = pa.array(former.place, mask=former.place < 0)
    status = former.groups["status"].take(rows).to_numpy()
    return np.isin(status.astype(str), [str(fault) for fault in FAULTS])


def _more_without_label(former: Former, found: CensusTable) -> int:
    """Return how many more rows without a label some groups have than they had."""
    rows = former.groups.take(pa.array(former.place))
    had = sum(
        n_rows - rows_of_digest(digest)
        for n_rows, digest in zip(rows["n_rows"].to_pylist(), rows["data_digest"].to_pylist(), strict=True)
    )
    now: int = (found.census.n_rows - found.census.n_usable).sum()
    return int(now) - int(had)
