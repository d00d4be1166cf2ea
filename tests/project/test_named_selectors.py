"""`selectors.yml`: dbt's format, as YAML and as TOML, and what is wrong with it at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
import yaml
from support import FAMILY_YAML, load, write_project

from modelfactory.diagnostics import Diagnostic, InputError
from modelfactory.project.loading import Project
from modelfactory.project.selectors import Expression, parse_options

FILES = {
    "families/f.yml": FAMILY_YAML,
    "sources/s.yml": "sources: [{name: s, path: rows.csv, format: csv}]",
}


def project_with(folder: Path, selectors: str, **variables: Any) -> Project:
    return load(write_project(folder, {**FILES, "selectors.yml": selectors}), **variables)


def mistakes_of(folder: Path, selectors: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(InputError) as caught:
        project_with(folder, selectors)
    return caught.value.diagnostics


def parsed(text: str) -> Expression:
    return parse_options([text], option="--select")


DEFINITIONS: list[tuple[Any, str]] = [
    ("tag:nightly", "tag:nightly"),
    ("+tag:nightly,path:a b", "+tag:nightly,path:a b"),
    ("not (a b)", "not (a b)"),
    ({"tag": "nightly"}, "tag:nightly"),
    ({"config.meta.pii": True}, "config.meta.pii:true"),
    ({"config.seed": 7}, "config.seed:7"),
    ({"method": "tag", "value": "nightly"}, "tag:nightly"),
    ({"method": "config.estimator.params.alpha", "value": 0.5}, "config.estimator.params.alpha:0.5"),
    ({"method": "name", "value": "f"}, "f"),
    ({"method": "fqn", "value": "f", "parents": True}, "+f"),
    ({"method": "fqn", "value": "f", "parents": True, "parents_depth": 2, "children": True}, "2+f+"),
    ({"method": "fqn", "value": "f", "children": True, "children_depth": 1}, "f+1"),
    ({"method": "fqn", "value": "f", "children": True, "children_depth": 0}, "f"),
    ({"method": "fqn", "value": "f", "childrens_parents": True}, "@f"),
    ({"method": "fqn", "value": "f", "childrens_parents": True, "childrens_parents_depth": 3}, "3@f"),
    ({"method": "fqn", "value": "f", "childrens_parents": False, "parents": False}, "f"),
    ({"method": "tag", "value": "a", "exclude": ["b"]}, "tag:a,!b"),
    ({"method": "tag", "value": "a", "children": True, "exclude": ["b", {"tag": "c"}]}, "tag:a+,!(b tag:c)"),
    ({"method": "tag", "value": "a", "exclude": []}, "tag:a"),
    ({"union": ["a", {"tag": "b"}]}, "a tag:b"),
    ({"union": ["a"]}, "a"),
    ({"intersection": ["a", {"tag": "b"}]}, "a,tag:b"),
    ({"union": ["a", "b", {"exclude": ["c"]}]}, "(a b),!c"),
    ({"intersection": ["a", {"exclude": ["c", "d"]}, "b"]}, "a,b,!(c d)"),
    ({"union": [{"intersection": ["a", "b"]}, {"union": ["c", "d"]}]}, "a,b (c d)"),
    ({"union": [{"method": "tag", "value": "a", "exclude": ["b"]}, "c"]}, "tag:a,!b c"),
    ({"intersection": ["+a", {"union": ["b", {"exclude": ["c"]}]}]}, "+a,(b,!c)"),
]


@pytest.mark.parametrize(("definition", "selector"), DEFINITIONS)
@pytest.mark.parametrize("suffix", ["yml", "yaml", "toml"])
def test_a_definition_is_short_for_a_selector(tmp_path: Path, definition: Any, selector: str, suffix: str) -> None:
    data = {"selectors": [{"name": "s", "definition": definition}]}
    text = tomli_w.dumps(data) if suffix == "toml" else yaml.safe_dump(data)
    project = load(write_project(tmp_path, {**FILES, f"selectors.{suffix}": text}))
    assert project.selectors["s"].expression == parsed(selector)


def test_a_file_of_dbt_is_read_as_it_is(tmp_path: Path) -> None:
    project = project_with(
        tmp_path,
        """\
        version: 2
        selectors:
          - name: nightly_light
            description: What runs every night and is soon done
            definition:
              union:
                - method: tag
                  value: nightly
                - exclude:
                    - method: tag
                      value: heavy
          - name: all_of_it
            default: true
            definition:
              union:
                - method: selector
                  value: nightly_light
                - 'late*'
        """,
    )
    assert list(project.selectors) == ["nightly_light", "all_of_it"]
    first, second = project.selectors.values()
    assert (first.description, first.default) == ("What runs every night and is soon done", False)
    assert second.default
    assert second.expression == parsed("selector:nightly_light late*")


def test_variables_are_filled_in(tmp_path: Path) -> None:
    text = "selectors: [{name: s, definition: 'tag:${var:when}', default: '${var:here}'}]"
    selector = project_with(tmp_path, text, when="nightly", here=True).selectors["s"]
    assert (selector.expression, selector.default) == (parsed("tag:nightly"), True)


def test_without_a_file_there_are_no_selectors(tmp_path: Path) -> None:
    assert load(write_project(tmp_path, FILES)).selectors == {}


ONE = "selectors:\n- name: s\n  definition:\n"


@pytest.mark.parametrize(
    ("text", "line", "message", "help"),
    [
        (f"{ONE}    tags: nightly", 4, "unknown selection method `tags:`", "did you mean `tag:nightly`?"),
        (f"{ONE}    method: tags\n    value: x", 4, "unknown selection method `tags:`", "did you mean `tag:x`?"),
        (f"{ONE}    method: state\n    value: modifed", 5, "`state:` knows no `modifed`", "did you mean `modified`?"),
        (f"{ONE}    state: modifed", 4, "`state:` knows no `modifed`", "did you mean `modified`?"),
        (f"{ONE}    method: tag", 3, "key `value` is missing", ""),
        (f"{ONE}    value: x", 3, "key `method` is missing", ""),
        (f"{ONE}    method: tag\n    value: [x]", 5, "`value` must be text, a number, true or false", ""),
        (f"{ONE}    method: tag\n    value: x\n    parent: true", 6, "unknown key `parent`", "`parents`"),
        (f"{ONE}    method: tag\n    value: x\n    indirect_selection: eager", 6, "unknown key `indirect_sel", ""),
        (f"{ONE}    method: tag\n    value: x\n    parents: maybe", 6, "`parents` must be true or false", ""),
        (f"{ONE}    method: tag\n    value: x\n    parents_depth: 1", 6, "`parents_depth` needs `parents: true`", ""),
        (
            f"{ONE}    method: tag\n    value: x\n    children: true\n    childrens_parents: true",
            7,
            "exclude each other",
            "",
        ),
        (f"{ONE}    union: [a]\n    intersection: [b]", 5, "unknown key `intersection`", ""),
        (f"{ONE}    union: [a]\n    exclude: [b]", 5, "unknown key `exclude`", ""),
        (f"{ONE}    union: a", 4, "`union` must be a list", ""),
        (f"{ONE}    union: []", 4, "`union` must not be empty", ""),
        (f"{ONE}    intersection:\n    - a\n    - tga: x", 6, "unknown selection method `tga:`", "`tag:x`"),
        (f"{ONE}    union:\n    - a\n    - 5", 6, "must be text or a mapping, not a number", ""),
        (f"{ONE}    union:\n    - exclude: [a]", 5, "`exclude` has nothing to exclude from", ""),
        (f"{ONE}    union:\n    - a\n    - exclude: [b]\n    - exclude: [c]", 7, "a second `exclude`", "into one"),
        (f"{ONE}    union:\n    - a\n    - exclude: []", 6, "`exclude` must not be empty", ""),
        (f"{ONE}    exclude: [a]", 4, "`exclude` has nothing to exclude from", "make it an item"),
        (f"{ONE}    tag: x\n    path: y", 4, "a definition is `method` and `value`", ""),
        (f"{ONE}    tag: [x]", 4, "`tag` must be text, a number, true or false", ""),
        (f"{ONE}    - a", 4, "must be text or a mapping, not a list", ""),
        (f"{ONE}    'a, b'", 4, "nothing to select beside the comma", "`a,b` without a space"),
        (f"{ONE}    '@a+'", 4, "exclude each other", ""),
        (f"{ONE}    ''", 4, "the selector is empty", ""),
        (f"{ONE}    selector: t", 4, "there is no selector `t`", "known: `s`"),
        (f"{ONE}    selector: s", 3, "a selector is part of itself: `s` → `s`", ""),
        (f"{ONE}    selector: '*'", 3, "a selector is part of itself: `s` → `s`", ""),
        ("selectors:\n- name: s\n", 2, "key `definition` is missing", ""),
        ("selectors:\n- definition: a\n", 2, "key `name` is missing", ""),
        ("selectors:\n- name: s\n  defintion: a\n  definition: a", 3, "unknown key `defintion`", "`definition`"),
        ("selector: []", 1, "unknown key `selector`", "did you mean `selectors`?"),
        ("selectors: {}", 1, "`selectors` must be a list", ""),
        ("selectors:\n- a", 2, "must be a mapping", ""),
        ("version: 3\nselectors: []", 1, "`version` must be one of 2", ""),
        (
            "selectors:\n- {name: s, definition: a}\n- {name: s, definition: b}",
            3,
            "selector `s` is declared twice",
            "",
        ),
        (
            "selectors:\n- {name: s, definition: a, default: true}\n- {name: t, definition: b, default: true}",
            3,
            "selectors `s` and `t` cannot both be the default",
            "",
        ),
        ("selectors: [", 2, "not valid YAML", ""),
        ("selectors: [{name: s, definition: 'tag:${var:gone}'}]", 1, "variable `gone` is not set", ""),
    ],
)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, text: str, line: int, message: str, help: str) -> None:
    [found] = [d for d in mistakes_of(tmp_path, text) if message in d.message]
    assert found.file == "selectors.yml"
    assert found.position is not None
    assert found.position.line == line, found.text()
    assert help in (found.help or "")


def test_all_mistakes_come_in_one_pass(tmp_path: Path) -> None:
    found = mistakes_of(
        tmp_path,
        """\
        selectors:
          - name: a
            definition: {union: [{tags: x}, {method: tag, value: y, exclude: ['(z']}, {state: newish}]}
          - name: b
            definition: {selector: c}
          - name: c
            definition: {union: [f, {selector: b}]}
          - name: d
            definition: {intersection: [{selector: a}, {selector: nope}]}
        """,
    )
    assert [(d.position.line if d.position else 0) for d in found] == [3, 3, 3, 5, 9]
    assert "`b` → `c` → `b`" in found[3].message


def test_two_files_of_selectors_are_one_too_many(tmp_path: Path) -> None:
    files = {**FILES, "selectors.yml": "selectors: []", "selectors.toml": "selectors = []"}
    with pytest.raises(InputError, match=r"two files of selectors: `selectors.yml` and `selectors.toml`"):
        load(write_project(tmp_path, files))


def test_a_chain_of_selectors_is_so_long_and_no_longer(tmp_path: Path) -> None:
    def chain(steps: int) -> str:
        links = [f"- {{name: s{i}, definition: 'selector:s{i + 1}'}}\n" for i in range(steps)]
        return f"selectors:\n{''.join(links)}- {{name: s{steps}, definition: f}}\n"

    assert len(project_with(tmp_path, chain(40)).selectors) == 41
    [found] = mistakes_of(tmp_path, chain(300))
    assert found.message == "selector `s259` refers to others over more than 40 steps"
