"""The manifest: read what was written, ignore what is newer, refuse what would be misread."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelfactory.diagnostics import Code, InputError
from modelfactory.store.manifest import SCHEMA, Manifest, VersionRecord, manifest_text, read_manifest

VERSION: dict[str, Any] = {
    "number": 3,
    "run_id": "20240101T000000-abc",
    "started_at": "2024-01-01T00:00:00+00:00",
    "published_at": "2024-01-01T00:00:09+00:00",
    "mf_version": "0.1.0",
    "libraries": {"python": "3.11.7"},
    "definition": {"name": "f", "source": "${env:SOURCE}", "features": ["x", {"name": "é"}]},
    "fingerprints": {"definition": "a", "metadata": "b", "data": "c", "environment": "d"},
    "group_by": ["k"],
    "label": None,
    "task": "unsupervised",
    "features": [{"name": "x", "kind": "numeric", "type": "double"}],
    "statuses": {"trained": 2, "failed": 1},
    "rows": 100,
    "rows_without_label": 0,
    "metrics": {"rmse": {"count": 2, "min": 1, "q25": 1.25, "median": 1.5, "q75": 1.75, "max": 2}},
    "baseline": {},
    "cpu_seconds": 1.5,
    "wall_seconds": 9.0,
    "training_seconds": 3.0,
    "slots": 4,
    "efficiency": None,
    "files": [{"path": "v000003-x/groups/part-00000.parquet", "table": "groups", "rows": 3, "bytes": 9, "sha256": "0"}],
}


def manifest(*numbers: int, current: int) -> Manifest:
    versions = [VersionRecord.model_validate({**VERSION, "number": number}) for number in numbers]
    return Manifest(family="f", current=current, versions=versions)


def written(**changes: Any) -> str:
    return json.dumps({**json.loads(manifest_text(manifest(3, current=3))), **changes})


def test_what_is_written_is_read_back() -> None:
    made = manifest(1, 2, 3, current=3)
    assert read_manifest(manifest_text(made), place="m") == made


def test_the_same_content_is_the_same_bytes() -> None:
    assert manifest_text(manifest(1, current=1)) == manifest_text(manifest(1, current=1))


def test_the_text_carries_its_schema_number() -> None:
    assert json.loads(manifest_text(manifest(1, current=1)))["schema"] == SCHEMA


def test_the_current_version_is_the_one_that_is_pointed_to() -> None:
    made = manifest(1, 2, 3, current=2)
    assert made.version() == made.versions[1]
    assert made.version(3) == made.versions[2]
    assert made.version(4) is None


def test_unknown_keys_are_ignored_on_every_level() -> None:
    data = json.loads(written(new_key={"a": 1}))
    data["versions"][0]["also_new"] = 5
    data["versions"][0]["files"][0]["new_too"] = []
    assert read_manifest(json.dumps(data), place="m") == manifest(3, current=3)


OUTSIDE = [
    "../../x/y",
    "v1-r/../../x",
    "v1-r/groups/..",
    "/etc/v1-r/x",
    "v1-../groups/../x",
    "v1-r/x",
    "x/y/z",
    "",
    "v1-r",
]


@pytest.mark.parametrize("path", [*OUTSIDE, "v1-r/groups/p\n", "v1-r/gro\\ups/p", "v1-r/groups/x/../../.."])
def test_no_file_leads_out_of_the_folder_of_its_version(path: str) -> None:
    data = json.loads(written())
    data["versions"][0]["files"][0]["path"] = path
    with pytest.raises(InputError, match="the manifest is damaged"):
        read_manifest(json.dumps(data), place="m")


@pytest.mark.parametrize("name", ["..", "../g", "/tmp", "a/b", "", ".", "f\n"])
def test_no_family_leads_out_of_the_store(name: str) -> None:
    with pytest.raises(InputError, match="the manifest is damaged"):
        read_manifest(written(family=name), place="m")
    data = json.loads(written())
    data["versions"][0]["family"] = name
    with pytest.raises(InputError, match="the manifest is damaged"):
        read_manifest(json.dumps(data), place="m")


def test_a_later_schema_is_refused_with_advice() -> None:
    with pytest.raises(InputError, match=f"has schema {SCHEMA + 1}") as caught:
        read_manifest(written(schema=SCHEMA + 1), place="store/f/manifest.json")
    (found,) = caught.value.diagnostics
    assert (found.code, found.file) == (Code.STORE_SCHEMA, "store/f/manifest.json")
    assert found.help


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        "5",
        "{}",
        '{"schema": null}',
        '{"schema": "one"}',
        '{"schema": [1]}',
        '{"schema": 0}',
        '{"schema": -1}',
        f'{{"schema": {SCHEMA}}}',
        f'{{"schema": {SCHEMA}, "family": "f", "current": "x", "versions": []}}',
        f'{{"schema": {SCHEMA}, "family": "f", "current": 1, "versions": [{{}}]}}',
    ],
)
def test_what_is_no_manifest_is_one_clear_mistake(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_manifest(text, place="m")
    assert caught.value.diagnostics[0].code == Code.STORE_SCHEMA


def test_a_cut_off_manifest_is_damaged() -> None:
    text = manifest_text(manifest(1, current=1))
    with pytest.raises(InputError):
        read_manifest(text[: len(text) // 2], place="m")
