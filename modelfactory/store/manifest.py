"""The manifest: the one pointer of a family, and its numbered format.

`SCHEMA` is raised by one when a reader of the former number would misread the file, and `_UPGRADES` gains the
function that turns the former form into the new one. A new key that older readers may ignore does not raise it.
Readers ignore unknown keys, upgrade older numbers, and refuse higher ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from modelfactory.diagnostics import Code, input_error

SCHEMA = 1
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

FolderName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of a family, which is a folder of the store. Whoever can write a manifest must not lead out of the store what
reads, copies or deletes by it."""
_FILE = r"^v[0-9]+-[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*$"
"""A file in a table in the folder of a version."""


class Record(BaseModel):
    """Base of what is stored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class FileRecord(Record):
    """One file of a version; `path` is relative to the folder of the name under which it was published."""

    path: str = Field(pattern=_FILE)
    table: str
    rows: int
    bytes: int
    sha256: str


class Quantiles(Record):
    """Distribution of one metric over the groups that have it."""

    count: int
    min: float
    q25: float
    median: float
    q75: float
    max: float


class Fingerprints(Record):
    """Hashes of what went into a version.

    Attributes:
        definition: what decides the models.
        fit: what decides them for given rows; empty text in manifests of before.
        metadata: what is told of the family.
        parents: the definitions of the families that it reads; empty text without any.
        data: the rows that were trained on.
        environment: versions of the libraries.
    """

    definition: str
    fit: str = ""
    metadata: str
    parents: str = ""
    data: str
    environment: str


class MeaningRecord(Record):
    """What the definition means, however it is written, in the three parts of `plan.meaning.Meaning`."""

    models: dict[str, Any] = {}
    tests: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class FeatureRecord(Record):
    """One input column and the type in which models see it, in training and when scoring."""

    name: str
    kind: Literal["numeric", "categorical"]
    type: str


class GlobalModelRecord(Record):
    """What came of the model of all groups' rows, which stands in where a family says `fallback: global`.

    Attributes:
        status: as of a group.
        n_rows: usable rows of all groups.
        n_train: rows that it was fitted on: all, or a sample.
        cpu_seconds: processor seconds inside `fit`.
        model_version: version whose files hold the model; None for the version itself.
        chosen: candidate that it is, where the family searches.
        candidates: mean metric of each candidate that could be measured.
    """

    status: str
    n_rows: int
    model_version: int | None = None
    n_train: int = 0
    n_test: int = 0
    metrics: dict[str, float] = {}
    baseline: dict[str, float] = {}
    fit_seconds: float | None = None
    cpu_seconds: float | None = None
    model_bytes: int | None = None
    model_sha256: str | None = None
    error_type: str | None = None
    error: str | None = None
    chosen: str | None = None
    candidates: dict[str, float] = {}


class VersionRecord(Record):
    """One published training of a family.

    Attributes:
        definition: the family's keys, defaults and variables applied, SQL unrendered, environment by reference.
        meaning: the same in canonical form, SQL rendered; None in manifests of before.
        sources: what the query read, and how.
        refs: version of each family whose group table the query read.
        family: the name under which it was published, if the family has another now.
        label_type: type in which the models of a classifier see the label: `boolean`, `bigint`, `double` or `string`;
            None where it was not recorded.
        classes: all classes that a model of the version knows, as text, sorted; None where they were not recorded.
        container: whether models were fitted from a NumPy matrix or from a pandas DataFrame.
        measured: metrics by which models were measured; None in manifests of before.
        global_model: the model of all rows, where the family has one.
        model_versions: versions whose model tables hold its models; none in manifests of before, where all are its own.
        served: groups that have a model; None in manifests of before, where these are the trained ones.
        statuses: count of groups by status.
        chosen: count of groups by the candidate that a search has chosen, the most frequent first.
        rows: rows of the input, over all groups.
        rows_without_label: rows that could not be trained on.
        cpu_seconds: processor seconds inside `fit`, over all groups and the global model.
        wall_seconds: seconds from the start of the census to publishing.
        training_seconds: seconds of the Spark job that trains.
        efficiency: `cpu_seconds` over `slots` times `training_seconds`.
    """

    number: int
    run_id: str
    started_at: str
    published_at: str
    mf_version: str
    libraries: dict[str, str]
    git_commit: str | None = None
    definition: dict[str, Any]
    meaning: MeaningRecord | None = None
    sources: list[dict[str, Any]] = []
    refs: dict[str, int] = {}
    family: FolderName | None = None
    fingerprints: Fingerprints
    group_by: list[str]
    label: str | None
    task: Literal["regression", "classification", "unsupervised"]
    features: list[FeatureRecord]
    label_type: Literal["boolean", "bigint", "double", "string"] | None = None
    classes: list[str] | None = None
    container: Literal["matrix", "frame"] = "frame"
    measured: list[str] | None = None
    global_model: GlobalModelRecord | None = None
    model_versions: list[int] = []
    served: int | None = None
    statuses: dict[str, int]
    chosen: dict[str, int] = {}
    rows: int
    rows_without_label: int
    metrics: dict[str, Quantiles]
    baseline: dict[str, Quantiles]
    cpu_seconds: float
    wall_seconds: float
    training_seconds: float
    slots: int
    efficiency: float | None
    files: list[FileRecord]

    def folder(self, family: str) -> str:
        """Return the folder, in the store, that its files are relative to.

        Args:
            family: the name that the family has now.
        """
        return self.family or family

    @property
    def folders(self) -> set[str]:
        """Folders that its files are in, relative to `folder`: one of its own."""
        return {PurePosixPath(file.path).parts[0] for file in self.files}

    @property
    def own_groups(self) -> int:
        """Groups that have a model."""
        return self.statuses.get("trained", 0) if self.served is None else self.served

    @property
    def bytes(self) -> int:
        """Bytes of its files."""
        return sum(file.bytes for file in self.files)


class TombstoneRecord(Record):
    """That groups were forgotten, and not what they were: who asks for one by its key is told.

    Attributes:
        run_id: the run that removed them.
        forgotten_at: when, as ISO 8601 in UTC.
        columns: the group columns by which they were named: all, or some.
        salt: random bytes, as hexadecimal digits, that stand before each key when it is hashed.
        keys: SHA-256 of the key; more than one where versions had the columns in types that cannot be compared.
        versions: numbers of the versions that lost something.
        groups: how many groups there were, over all versions.
        models: how many models were removed, over all versions.
    """

    run_id: str
    forgotten_at: str
    columns: list[str]
    salt: str
    keys: list[str]
    versions: list[int]
    groups: int
    models: int


class Manifest(Record):
    """All published versions of a family and which one is current.

    Attributes:
        revision: how many manifests were before this one; of two that have gone equally far, the later one counts.
        forgotten: what was removed from its versions on request, the oldest first.
    """

    manifest_schema: int = Field(SCHEMA, alias="schema")
    family: FolderName
    current: int
    revision: int = 0
    versions: list[VersionRecord]
    forgotten: list[TombstoneRecord] = []

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    def version(self, number: int | None = None) -> VersionRecord | None:
        """Return a version by number, the current one by default; None if there is no such version."""
        wanted = self.current if number is None else number
        return next((v for v in self.versions if v.number == wanted), None)

    @property
    def highest(self) -> int:
        """The highest number that was given; 0 if none was."""
        return max((version.number for version in self.versions), default=0)

    def moved_to(self, family: str) -> Manifest:
        """Return the manifest of the same versions under another name."""
        versions = [v.model_copy(update={"family": v.family or self.family}) for v in self.versions]
        return self.model_copy(update={"family": family, "versions": versions})


def read_manifest(text: str, *, place: str) -> Manifest:
    """Read a manifest's text.

    Args:
        text: the file's content.
        place: what to call the file in an error.

    Raises:
        InputError: it is not a manifest, or one of a later schema.
    """
    try:
        data = json.loads(text)
        schema = int(data["schema"])
    except (ValueError, KeyError, TypeError) as error:
        raise input_error(Code.STORE_SCHEMA, "this is not a manifest of modelfactory", file=place) from error
    if schema > SCHEMA:
        raise input_error(
            Code.STORE_SCHEMA,
            f"the manifest has schema {schema}; this modelfactory reads up to {SCHEMA}",
            file=place,
            help="install the modelfactory that wrote it, or a later one",
        )
    if schema < 1:
        raise input_error(Code.STORE_SCHEMA, f"there is no manifest of schema {schema}", file=place)
    while schema < SCHEMA:
        data = _UPGRADES[schema](data)
        schema += 1
    try:
        return Manifest.model_validate(data)
    except ValueError as error:
        raise input_error(Code.STORE_SCHEMA, "the manifest is damaged", file=place) from error


def manifest_text(manifest: Manifest) -> str:
    """Write a manifest: the same bytes for the same content."""
    return json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=1) + "\n"
