"""A whole project is read: defaults, variables, provenance; all mistakes are told at once, each at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import FAMILY_TOML, load, workspace_of, write_project

from modelfactory.commands.project_options import store_of
from modelfactory.diagnostics import Code, Diagnostic, InputError
from modelfactory.project.loading import Family

SOURCES = "sources: [{name: s, path: data.parquet}, {name: t, table: a.b}]\n"
FAMILY = """\
families:
  - name: f
    group_by: [k]
    source: s
    features: [x]
    label: y
    estimator: Ridge
"""


def family(folder: Path, extra: str = "", files: dict[str, str] | None = None, **variables: object) -> Family:
    write_project(folder, {"sources/s.yml": SOURCES, "families/f.yml": FAMILY + extra, **(files or {})})
    (only,) = load(folder, **variables).families
    return only


def mistakes(folder: Path, files: dict[str, str], **environ: str) -> tuple[Diagnostic, ...]:
    write_project(folder, {"sources/s.yml": SOURCES, **files})
    with pytest.raises(InputError) as caught:
        workspace_of(folder, environ=environ)
    return caught.value.diagnostics


def places(found: tuple[Diagnostic, ...]) -> list[tuple[str | None, int | None]]:
    return [(d.file, d.position.line if d.position else None) for d in found]


# What is read ----------------------------------------------------------------------------------------------------


def test_yaml_and_toml_families_are_equal(tmp_path: Path) -> None:
    as_yaml = family(tmp_path / "a")
    write_project(tmp_path / "b", {"sources/s.yml": SOURCES, "families/f.toml": FAMILY_TOML})
    (as_toml,) = load(tmp_path / "b").families
    assert as_yaml.spec == as_toml.spec
    assert as_yaml.definition == as_toml.definition


def test_yaml_and_toml_mix_in_one_project(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        {
            "mf_project.toml": 'name = "demo"\nvars = {least = 7}\n',
            "sources/s.yml": SOURCES,
            "families/_defaults.toml": 'min_rows = "${var:least}"\n',
            "families/f.yml": FAMILY,
            "families/g.toml": FAMILY_TOML.replace('"f"', '"g"'),
        },
    )
    assert [(f.name, f.spec.min_rows) for f in load(tmp_path).families] == [("f", 7), ("g", 7)]


def test_families_come_in_the_order_of_their_files_and_places(tmp_path: Path) -> None:
    two = FAMILY.replace("name: f", "name: z") + FAMILY.removeprefix("families:\n").replace("name: f", "name: a")
    write_project(tmp_path, {"sources/s.yml": SOURCES, "families/b.yml": FAMILY, "families/a/c.yml": two})
    assert [f.name for f in load(tmp_path).families] == ["z", "a", "f"]


def test_sources_and_families_may_stand_in_one_file(tmp_path: Path) -> None:
    write_project(tmp_path, {"families/all.yml": SOURCES + FAMILY})
    assert [f.name for f in load(tmp_path).families] == ["f"]


def test_a_project_without_families_is_valid(tmp_path: Path) -> None:
    assert load(write_project(tmp_path, {})).families == ()


@pytest.mark.parametrize("written", ["[x]", "x", "[{name: x}]", "[{name: x, kind: numeric}]"])
def test_features_have_short_forms(tmp_path: Path, written: str) -> None:
    found = family(tmp_path, files={"families/f.yml": FAMILY.replace("[x]", written)})
    assert [(f.name, f.kind) for f in found.spec.features] == [("x", "numeric")]


@pytest.mark.parametrize("written", ["Ridge", "{class: Ridge}", "{class: Ridge, params: {}}"])
def test_an_estimator_has_short_forms(tmp_path: Path, written: str) -> None:
    found = family(tmp_path, files={"families/f.yml": FAMILY.replace("Ridge", written)})
    assert found.spec.estimator is not None
    assert (found.spec.estimator.class_, found.spec.estimator.params) == ("Ridge", {})


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("10m", 600), ("1h30m", 5400), ("1.5m", 90), ("90", 90), ("0.5", 0.5)]
)
def test_a_timeout_is_a_duration(tmp_path: Path, written: str, seconds: float) -> None:
    assert family(tmp_path, f"    timeout: {written}\n").spec.timeout == seconds


@pytest.mark.parametrize(
    ("written", "share", "count"),
    [("1%", 0.01, None), ("0.05", 0.05, None), ("3", None, 3), ("0", None, 0), ("100 %", 1, None)],
)
def test_a_failure_budget_is_a_share_or_a_count(
    tmp_path: Path, written: str, share: float | None, count: int | None
) -> None:
    budget = family(tmp_path, f"    max_failed: {written}\n").spec.max_failed
    assert (budget.share, budget.count) == (share, count)


# Defaults --------------------------------------------------------------------------------------------------------


def test_the_nearest_value_wins(tmp_path: Path) -> None:
    found = family(
        tmp_path,
        "    seed: 1\n",
        {
            "mf_project.yml": "name: demo\ndefaults: {seed: 4, min_rows: 4, max_rows: 40, owner: four}\n",
            "families/_defaults.yml": "seed: 3\nmin_rows: 3\nmax_rows: 30\n",
        },
    ).spec
    assert (found.seed, found.min_rows, found.max_rows, found.owner) == (1, 3, 30, "four")


def test_folder_defaults_hold_below_their_folder_only(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        {
            "sources/s.yml": SOURCES,
            "families/_defaults.yml": "owner: top\nseed: 1\n",
            "families/a/_defaults.yml": "owner: a\n",
            "families/a/b/f.yml": FAMILY,
            "families/c/g.yml": FAMILY.replace("name: f", "name: g"),
        },
    )
    assert {f.name: (f.spec.owner, f.spec.seed) for f in load(tmp_path).families} == {"f": ("a", 1), "g": ("top", 1)}


def test_tags_and_meta_add_up(tmp_path: Path) -> None:
    found = family(
        tmp_path,
        "    tags: [own, top]\n    meta: {a: own}\n",
        {
            "mf_project.yml": "name: demo\ndefaults: {tags: top, meta: {a: top, c: top}}\n",
            "families/_defaults.yml": "tags: [folder]\nmeta: {a: folder, b: folder}\n",
        },
    )
    assert sorted(found.spec.tags) == ["folder", "own", "top"]
    assert found.spec.meta == {"a": "own", "b": "folder", "c": "top"}


@pytest.mark.parametrize("key", ["source: t", "sql_file: q.sql", "sql: select 1"])
def test_an_own_input_hides_an_inherited_one_of_another_kind(tmp_path: Path, key: str) -> None:
    text = FAMILY.replace("source: s", key)
    found = family(
        tmp_path, files={"families/f.yml": text, "families/_defaults.yml": "source: s\n", "q.sql": "select 1"}
    )
    given = [name for name in ("source", "sql", "sql_file") if getattr(found.spec, name) is not None]
    assert given == [key.partition(":")[0]]


def test_an_own_pipeline_hides_an_inherited_preprocess(tmp_path: Path) -> None:
    found = family(
        tmp_path,
        "    pipeline: [{name: scale, class: StandardScaler}]\n",
        {"families/_defaults.yml": "preprocess: {numeric: StandardScaler}\n"},
    )
    assert found.spec.preprocess is None


def test_null_takes_an_inherited_value_away(tmp_path: Path) -> None:
    found = family(tmp_path, "    max_rows: null\n", {"families/_defaults.yml": "max_rows: 5\n"})
    assert found.spec.max_rows is None


def test_every_value_knows_where_it_is_written(tmp_path: Path) -> None:
    found = family(
        tmp_path,
        "    tags: [a]\n",
        {
            "mf_project.yml": "name: demo\ndefaults:\n  owner: x\n  tags: [b]\n",
            "families/_defaults.yml": "\nseed: 5\n",
        },
    )
    told = {key: [origin.text() for origin in found.origins[key]] for key in ("label", "seed", "owner", "tags")}
    assert told == {
        "label": ["families/f.yml:6"],
        "seed": ["families/_defaults.yml:2"],
        "owner": ["mf_project.yml:3"],
        "tags": ["families/f.yml:8", "mf_project.yml:4"],
    }


def test_an_item_of_meta_is_written_in_the_layer_that_gives_it(tmp_path: Path) -> None:
    found = family(
        tmp_path,
        "    meta: {a: 1}\n",
        {"families/_defaults.yml": "meta:\n  b: 2\n  a: 3\n", "mf_project.yml": "name: demo\n"},
    )
    shown = {name: found.place(("meta", name)).shown for name in ("a", "b", "c")}
    assert shown == {"a": "families/f.yml:8", "b": "families/_defaults.yml:2", "c": "families/f.yml:8"}


def test_what_a_nearer_layer_hides_is_known(tmp_path: Path) -> None:
    found = family(
        tmp_path,
        "    seed: 1\n    preprocess: {numeric: StandardScaler}\n",
        {
            "mf_project.yml": "name: demo\ndefaults:\n  seed: 3\n  weight: w\n  sql: select 1\n",
            "families/_defaults.yml": "seed: 2\npipeline: [{name: a, class: PCA}]\n",
        },
    )
    told = {key: [(o.value, o.text()) for o in origins] for key, origins in found.overridden.items()}
    assert told == {
        "seed": [(2, "families/_defaults.yml:1"), (3, "mf_project.yml:3")],
        "source": [("select 1", "mf_project.yml:5")],
        "preprocess": [([{"name": "a", "class": "PCA"}], "families/_defaults.yml:2")],
    }


def test_two_folder_defaults_in_one_folder_are_one_too_many(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        {"families/_defaults.yml": "seed: 1\n", "families/_defaults.toml": "seed = 2\n", "families/f.yml": FAMILY},
    )
    assert len(found) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"families/empty/_defaults.yml": "ownr: x\n"},
        {"mf_project.yml": "name: demo\ndefaults: {ownr: x}\n", "families/f.yml": ""},
        {"families/_defaults.yml": "min_rows: few\n", "families/f.yml": FAMILY + "    min_rows: 5\n"},
        {"families/_defaults.yml": "tags: 5\n", "families/f.yml": FAMILY + "    tags: [a]\n"},
    ],
    ids=["folder without families", "project without families", "overridden", "not to be added up"],
)
def test_defaults_are_checked_even_where_nothing_uses_them(tmp_path: Path, files: dict[str, str]) -> None:
    files = {name: text for name, text in files.items() if text}
    found = mistakes(tmp_path, files)
    assert [d.file for d in found] == [next(iter(files))]


def test_a_mistake_in_defaults_is_told_once_and_at_its_place(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        {
            "families/_defaults.yml": "owner: x\nmin_rows: few\n",
            "families/f.yml": FAMILY,
            "families/g.yml": FAMILY.replace("name: f", "name: g"),
        },
    )
    assert places(found) == [("families/_defaults.yml", 2)]


def test_a_mistake_in_added_up_tags_is_told_at_its_place(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path, {"families/_defaults.yml": "tags: [b, 5]\n", "families/f.yml": FAMILY + "    tags: [a]\n"}
    )
    assert places(found) == [("families/_defaults.yml", 1)]


# Variables -------------------------------------------------------------------------------------------------------


def test_variables_come_from_the_project_and_the_command_line_wins(tmp_path: Path) -> None:
    files = {"mf_project.yml": "name: demo\nvars: {a: 1, b: 2}\n"}
    found = family(tmp_path, "    min_rows: ${var:a}\n    seed: ${var:b}\n", files, b=7)
    assert (found.spec.min_rows, found.spec.seed) == (1, 7)


def test_a_variable_may_come_from_the_environment(tmp_path: Path) -> None:
    files = {"mf_project.yml": "name: demo\nvars: {least: '${env:LEAST:-7}'}\n"}
    assert family(tmp_path, "    min_rows: ${var:least}\n", files).spec.min_rows == 7


def test_the_definition_keeps_what_is_written(tmp_path: Path) -> None:
    found = family(tmp_path, "    min_rows: ${var:a}\n    owner: ${env:NO:-x}\n", a=5)
    assert found.definition["min_rows"] == "${var:a}"
    assert found.definition["owner"] == "${env:NO:-x}"
    assert found.spec.owner == "x"


def test_an_unknown_variable_is_found_at_its_place_with_the_nearest_name(tmp_path: Path) -> None:
    (found,) = mistakes(
        tmp_path,
        {
            "mf_project.yml": "name: d\nvars: {min_rows: 1}\n",
            "families/f.yml": FAMILY + "    owner: x ${var:min_row}\n",
        },
    )
    assert found.code == Code.UNKNOWN_VARIABLE
    assert found.help == "did you mean `min_rows`?"
    assert places((found,)) == [("families/f.yml", 8)]


# Mistakes --------------------------------------------------------------------------------------------------------


def test_all_mistakes_of_all_files_come_at_once_and_sorted(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        {
            "sources/u.yml": "sources: [{name: u}]\n",
            "families/a.yml": "families: [\n",
            "families/b.yml": FAMILY + "    nope: 1\n    seed: -1\n",
            "families/c.toml": FAMILY_TOML.replace('"f"', '"c"').replace('"s"', '"gone"'),
            "families/d.toml": "",
        },
    )
    assert places(found) == [
        ("families/a.yml", 2),
        ("families/b.yml", 8),
        ("families/b.yml", 9),
        ("families/c.toml", 4),
        ("families/d.toml", None),
        ("sources/u.yml", 1),
    ]


def test_a_source_with_a_mistake_is_not_unknown_too(tmp_path: Path) -> None:
    found = mistakes(tmp_path, {"sources/s.yml": "sources: [{name: s, pth: x}]\n", "families/f.yml": FAMILY})
    assert {d.file for d in found} == {"sources/s.yml"}


def test_a_reference_to_nothing_is_not_of_a_wrong_type_too(tmp_path: Path) -> None:
    found = mistakes(tmp_path, {"families/f.yml": FAMILY + "    min_rows: ${var:nope}\n"})
    assert [d.code for d in found] == [Code.UNKNOWN_VARIABLE]


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("group_by: [k, 5]", "group_by"),
        ("features: [x, 5]", "features"),
        ("features: [x, null]", "features"),
        ("tags: [5]", "tags"),
        ("evaluate: {folds: 3, metrics: [5]}", "metrics"),
        ("preprocess: {numeric: [5]}", "numeric"),
        ("pipeline: [StandardScaler]", "pipeline"),
    ],
)
def test_a_wrong_item_of_a_list_is_told_by_the_name_of_the_list(tmp_path: Path, written: str, named: str) -> None:
    key = written.partition(":")[0]
    lines = [line for line in FAMILY.splitlines() if not line.strip().startswith(key + ":")]
    text = "\n".join([*lines, f"    {written}", ""])
    (found,) = mistakes(tmp_path, {"families/f.yml": text})
    assert named in found.message


@pytest.mark.parametrize("suffix", ["yml", "toml"])
def test_a_wrong_entry_of_a_file_is_told_by_the_name_of_its_list(tmp_path: Path, suffix: str) -> None:
    text = "families: [a]\n" if suffix == "yml" else 'families = ["a"]\n'
    (found,) = mistakes(tmp_path, {f"families/f.{suffix}": text})
    assert "families" in found.message


@pytest.mark.parametrize(
    "text",
    [
        FAMILY + "    5: x\n",
        FAMILY + "    true: x\n",
        FAMILY + "5: x\n",
        FAMILY.replace("Ridge", "{class: Ridge, params: {5: x}}"),
    ],
    ids=["family", "true", "file", "params"],
)
def test_a_key_that_is_no_text_is_told_by_its_name_and_place(tmp_path: Path, text: str) -> None:
    (found,) = mistakes(tmp_path, {"families/f.yml": text})
    line = next(n for n, written in enumerate(text.splitlines(), 1) if "5: x" in written or "true: x" in written)
    assert ("`5`" in found.message) or ("`true`" in found.message.lower())
    assert "[key]" not in found.message
    assert places((found,)) == [("families/f.yml", line)]


@pytest.mark.parametrize("value", ["null", "[1]", "{a: b}"])
def test_a_wrong_option_of_a_reader_is_one_mistake(tmp_path: Path, value: str) -> None:
    text = f"sources: [{{name: s, path: x, options: {{header: {value}}}}}]\n"
    found = mistakes(tmp_path, {"sources/s.yml": text})
    assert len(found) == 1
    assert "header" in found[0].message


@pytest.mark.parametrize("value", ["200%", "-1", "1.5"])
def test_a_wrong_budget_is_told_by_the_key_that_is_written(tmp_path: Path, value: str) -> None:
    (found,) = mistakes(tmp_path, {"families/f.yml": FAMILY + f"    max_failed: {value}\n"})
    assert "max_failed" in found.message
    assert found.position is not None
    assert found.position.column == 17


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("    max_failed: {share: 0.1, count: 1}\n", Code.BAD_VALUE),
        ("    max_failed: {}\n", Code.BAD_VALUE),
        ("    min_rows: 10\n    max_rows: 5\n", Code.CONFLICT),
        ("    on_too_many: sample\n", Code.CONFLICT),
    ],
)
def test_what_contradicts_itself_is_a_mistake(tmp_path: Path, extra: str, code: Code) -> None:
    (found,) = mistakes(tmp_path, {"families/f.yml": FAMILY + extra})
    assert found.code in (code, Code.BAD_VALUE)


@pytest.mark.parametrize("written", ["group_by: ['']", "features: ['']", "label: ''", "sql: ''"])
def test_an_empty_name_is_a_mistake(tmp_path: Path, written: str) -> None:
    key = "source" if written.startswith("sql") else written.partition(":")[0]
    text = "".join(
        f"    {written}\n" if line.strip().startswith(key + ":") else line for line in FAMILY.splitlines(keepends=True)
    )
    (found,) = mistakes(tmp_path, {"families/f.yml": text})
    assert found.code == Code.BAD_VALUE


def test_a_column_of_another_line_separator_does_not_shift_the_line_that_is_shown(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, {"families/f.toml": "# a\u2028b\n" + FAMILY_TOML + "min_row = 5\n"})
    assert found.source_line == "min_row = 5"


def test_a_missing_query_file_is_found_where_it_is_named(tmp_path: Path) -> None:
    text = FAMILY.replace("source: s", "sql_file: sql/gone.sql")
    (found,) = mistakes(tmp_path, {"families/f.yml": text})
    assert (found.code, places((found,))) == (Code.UNREADABLE, [("families/f.yml", 4)])


def test_an_error_in_a_merged_mapping_still_has_a_line(tmp_path: Path) -> None:
    text = FAMILY.replace("- name: f", "- &base\n    name: f") + "  - <<: *base\n    name: g\n    seed: -1\n"
    (found,) = mistakes(tmp_path, {"families/f.yml": text})
    assert places((found,)) == [("families/f.yml", 11)]


# Profiles --------------------------------------------------------------------------------------------------------


def test_the_local_target_needs_no_file(tmp_path: Path) -> None:
    found = load(write_project(tmp_path, {}))
    assert (found.target_name, found.target.master) == ("local", "local[*]")
    assert store_of(found).root == tmp_path / "store"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profiles.yml", "targets: {prod: {store: /data/store, conf: {a.b: 4g}}}\n"),
        ("profiles.toml", "[targets.prod]\nstore = '/data/store'\nconf = {'a.b' = '4g'}\n"),
    ],
)
def test_targets_come_from_profiles(tmp_path: Path, name: str, text: str) -> None:
    found = load(write_project(tmp_path, {"mf_project.yml": "name: d\ntarget: prod\n", name: text}))
    assert (str(store_of(found).root), dict(found.target.conf)) == ("/data/store", {"a.b": "4g"})


def test_a_target_may_be_a_spark_connect_server(tmp_path: Path) -> None:
    text = "targets: {local: {remote: 'sc://host:15002/;token=hunter2', worker_memory: 1.5g}}\n"
    found = load(write_project(tmp_path, {"profiles.yml": text})).target
    assert (found.remote, found.address) == ("sc://host:15002/;token=hunter2", "sc://host:15002")
    assert found.worker_memory == 3 << 29


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{remote: 'http://host'}", "must be the URL of a Spark Connect server, such as sc://host:15002"),
        ("{remote: 'sc://host', master: yarn}", "`master` and `remote` exclude each other"),
        ("{worker_memory: 2}", "must be an amount of memory such as 512m or 2g"),
        ("{worker_memory: 2t}", "must be an amount of memory such as 512m or 2g"),
        ("{worker_memory: 100m}", "must be at least 512m"),
    ],
)
def test_a_wrong_target_says_what_would_be_right(tmp_path: Path, text: str, message: str) -> None:
    write_project(tmp_path, {"profiles.yml": f"targets: {{local: {text}}}\n"})
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.file) in [(Code.BAD_VALUE, "profiles.yml"), (Code.CONFLICT, "profiles.yml")]
    assert message in found.message


def test_an_unknown_target_is_found_where_the_project_names_it(tmp_path: Path) -> None:
    write_project(tmp_path, {"mf_project.yml": "name: d\ntarget: prodd\n", "profiles.yml": "targets: {prod: {}}\n"})
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.help) == (Code.UNKNOWN_TARGET, "did you mean `prod`?")
    assert places((found,)) == [("mf_project.yml", 2)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profiles.yml", "targets: {local: {store: hunter2\n"),
        ("profiles.yml", "targets: {local: {store: [hunter2]}}\n"),
        ("profiles.yml", "targets: {local: {stor: hunter2}}\n"),
        ("profiles.yml", "targets: {local: {conf: {k: [hunter2]}}}\n"),
        ("profiles.yml", "targets: {local: {master: a, master: hunter2}}\n"),
        ("profiles.yml", "targets: {local: *hunter2}\n"),
        ("profiles.yml", "hunter2\n"),
        ("profiles.toml", "targets.local.store = hunter2\n"),
        ("profiles.toml", "[targets.local]\nstore = 'a'\nstore = 'hunter2'\n"),
        ("profiles.toml", "[targets.local]\nstore = ['hunter2']\n"),
    ],
)
def test_no_value_of_profiles_is_ever_shown(tmp_path: Path, name: str, text: str) -> None:
    write_project(tmp_path, {name: text})
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "hunter2" not in str(caught.value)
    assert all(d.file == name and d.source_line is None for d in caught.value.diagnostics)
