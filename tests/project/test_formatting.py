"""The canonical form looks as it should, is read as the text is, keeps every comment, and is its own canonical form."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support import PROJECTS, ROOT
from written_documents import toml_documents, yaml_documents

from modelfactory.diagnostics import InputError
from modelfactory.project.files import read_plain
from modelfactory.project.formatting import format_text, order_of
from modelfactory.project.layout import CannotFormat, KeyOrder
from modelfactory.project.specs import FamiliesFileSpec, FamilySpec, ProjectSpec

DEFINITIONS = KeyOrder((FamiliesFileSpec,), apart=True)
FAMILY = KeyOrder((FamilySpec,))
PROJECT = KeyOrder((ProjectSpec,))
NONE = KeyOrder()

YAML: dict[str, tuple[KeyOrder, str, str]] = {
    "keys in the order of the specs, the comment of each with it": (
        DEFINITIONS,
        """\
        families:
        # one family
        - label: y   # what to learn
          estimator: {params: {b: 1, a: 2}, class: Ridge}
          # why this name
          name: f
          meta: {z: 1, a: 2}
          unknown: 1
          group_by: [k]
        """,
        """\
        families:
          # one family
          # why this name
          - name: f
            group_by: [k]
            label: y  # what to learn
            estimator: {class: Ridge, params: {b: 1, a: 2}}
            meta: {z: 1, a: 2}
            unknown: 1
        """,
    ),
    "nested keys, by name and in lists": (
        DEFINITIONS,
        """\
        families:
          - name: f
            evaluate: {metrics: [r2], by_time: {last: 0.1, column: t}}
            pipeline: [{params: {b: 1, a: 1}, class: PCA, name: p}]
            features: [{kind: categorical, name: x}]
        """,
        """\
        families:
          - name: f
            features: [{name: x, kind: categorical}]
            pipeline: [{name: p, class: PCA, params: {b: 1, a: 1}}]
            evaluate: {by_time: {column: t, last: 0.1}, metrics: [r2]}
        """,
    ),
    "families and sources stand apart": (
        DEFINITIONS,
        """\
        families:

        - name: a
        - name: b


        # about c
        - name: c
        sources:
        - {name: s, path: p}
        - {name: t, path: p}
        """,
        """\
        families:
          - name: a

          - name: b

          # about c
          - name: c

        sources:
          - {name: s, path: p}

          - {name: t, path: p}
        """,
    ),
    "the comment of a file stays at its top": (
        FAMILY,
        """\
        # Of the folder.

        # of the rows
        min_rows: 5
        source: s
        """,
        """\
        # Of the folder.

        source: s
        # of the rows
        min_rows: 5
        """,
    ),
    "a comment that may be the file's or the first key's keeps both in place": (
        FAMILY,
        "# Of the folder?\nmin_rows: 5\ntags: [a]\nsource: s\n",
        "# Of the folder?\nmin_rows: 5\nsource: s\ntags: [a]\n",
    ),
    "quotes only where they are needed": (
        NONE,
        """\
        'a': 'x'
        b: ['it''s', "x, y", 'no', "1.0", '010', "2013-01-01", 'null', '', "y", '1:30', "a b"]
        c: 'x: y'
        d: 'say "hi": no'
        e: "tab\\t"
        f: '${var:x}'
        g: {h: '${var:x}', i: 'a:b', j: 'c\\d: e'}
        k: '- x'
        l: ' x'
        m: '<<'
        """,
        """\
        a: x
        b: [it's, "x, y", "no", "1.0", "010", "2013-01-01", "null", "", "y", "1:30", a b]
        c: "x: y"
        d: 'say "hi": no'
        e: "tab\\t"
        f: ${var:x}
        g: {h: "${var:x}", i: a:b, j: 'c\\d: e'}
        k: "- x"
        l: " x"
        m: "<<"
        """,
    ),
    "what is not quoted is not touched": (
        NONE,
        "a: [no, on, 010, 0o17, 1_000, 2013-01-01, ~, 1.0, 1e3, .inf]\n",
        "a: [no, on, 010, 0o17, 1_000, 2013-01-01, ~, 1.0, 1e3, .inf]\n",
    ),
    "brackets": (
        NONE,
        "a: {  }\nb: [ ]\nc: [ 1,2 ,3,]\nd: {x : 1,\n   y: [a,\n b]}\ne:   [x: 1, {y}]\n",
        "a: {}\nb: []\nc: [1, 2, 3]\nd: {x: 1, y: [a, b]}\ne: [{x: 1}, {y}]\n",
    ),
    "brackets that are too long, or hold comments, become a block": (
        NONE,
        f"""\
        long: [{"a" * 70}, {{x: 1}}, '{"b" * 50}']
        short: [1,  # one
          # two
          2
          # end
        ]  # list
        """,
        f"""\
        long:
          - {"a" * 70}
          - {{x: 1}}
          - {"b" * 50}
        short:  # list
          - 1  # one
          # two
          - 2
          # end
        """,
    ),
    "texts of several lines": (
        NONE,
        """\
        a:
            sql: |    # header
                   select
                     x

                   from t

            folded: >-
             one
             two

            indented: |4
                  x
                y
            plain: one
                    two
            quoted: "one

                two"
        """,
        """\
        a:
          sql: |  # header
            select
              x

            from t

          folded: >-
            one
            two

          indented: |2
              x
            y
          plain: one
            two
          quoted: "one

            two"
        """,
    ),
    "comments by their column": (
        NONE,
        """\
        a:
              b: 1
              # at the end of a
           # of a, too
        # above c
        c:
            # nothing yet
        d: 1
        # the end
        """,
        """\
        a:
          b: 1
          # at the end of a
          # of a, too
        # above c
        c:
          # nothing yet
        d: 1
        # the end
        """,
    ),
    "comments that stand in a column": (
        NONE,
        """\
        a: 1           # one
        bbb: 1         # two
        none: here is none, and it is long
        cc:   1        # three

        d: 1           # alone
        """,
        """\
        a: 1    # one
        bbb: 1  # two
        none: here is none, and it is long
        cc: 1   # three

        d: 1  # alone
        """,
    ),
    "lists in lists, and items on the lines below their dashes": (
        NONE,
        """\
        a:
        -   - 1
            - 2
        -
          # of x
          x: 1
          y: 2
        -   # beside
          - 3
        -
        """,
        """\
        a:
          - - 1
            - 2
          # of x
          - x: 1
            y: 2
          # beside
          - - 3
          -
        """,
    ),
    "anchors, aliases, merge keys and tags": (
        DEFINITIONS,
        """\
        families:
        - &f
          label: y
          name: a
          meta:   &m {b: 1}
        - tags: !!str   x
          <<: *f
          name: b
          meta: *m
          *x : 1
        """.replace("  *x : 1\n", ""),
        """\
        families:
          - &f
            name: a
            label: y
            meta: &m {b: 1}

          - <<: *f
            name: b
            tags: !!str x
            meta: *m
        """,
    ),
    "an alias does not move before its anchor": (
        FAMILY,
        "meta: &m  {a: 1}\ndescription: *m\n",
        "meta: &m {a: 1}\ndescription: *m\n",
    ),
    "blank lines": (
        NONE,
        "\n\na: 1   \n\n\n\nb:\n\n  c: 1\n\n\n\n",
        "a: 1\n\nb:\n  c: 1\n",
    ),
    "a document's mark": (NONE, "# head\n---   \na:   1\n...\n", "# head\n---\na: 1\n"),
    "JSON": (NONE, '{"a": {"b": [1, true]}}', "{a: {b: [1, true]}}\n"),
    "no newline at the end": (NONE, "a: |\n  x", "a: |-\n  x\n"),
}

TOML: dict[str, tuple[KeyOrder, str, str]] = {
    "keys and tables in the order of the specs, the comments of each with it": (
        DEFINITIONS,
        """\
        [[families]]
        label = "y"   # what to learn
        # why this name
        name = "f"
        meta = { z = 1, a = 2 }
          [families.evaluate]
          folds = 5
          # about the estimator
          [families.estimator]
          params.alpha = 1
          class = "Ridge"
        [[families]]
        name = "g"
        """,
        """\
        [[families]]
        # why this name
        name = "f"
        label = "y"  # what to learn
        meta = { z = 1, a = 2 }

        # about the estimator
        [families.estimator]
        class = "Ridge"
        params.alpha = 1

        [families.evaluate]
        folds = 5

        [[families]]
        name = "g"
        """,
    ),
    "the comment of a file stays at its top": (
        PROJECT,
        '# The project.\n\nversion="1"\nname="x"\n[vars]\na=1\n',
        '# The project.\n\nname = "x"\nversion = "1"\n\n[vars]\na = 1\n',
    ),
    "a comment that may be the file's or the first table's keeps both in place": (
        PROJECT,
        "# Of the file?\n[defaults]\nseed = 1\n[vars]\na = 1\n",
        "# Of the file?\n[defaults]\nseed = 1\n\n[vars]\na = 1\n",
    ),
    "spaces, quotes and keys": (
        NONE,
        """\
        "a"='x'
        'b c'   =   "y"
        d . "e" = {x=1,y = {  }}
        f = 'c:\\x'
        g = 'say "hi"'
        h=[ 1,2 , [ ] ]
        [ t . "u v" ]   # beside
        """,
        """\
        a = "x"
        "b c" = "y"
        d.e = { x = 1, y = {} }
        f = 'c:\\x'
        g = 'say "hi"'
        h = [1, 2, []]

        [t."u v"]  # beside
        """,
    ),
    "values that are copied": (
        NONE,
        "a = [1_000, 0x1F, 1e3, nan, 2013-01-01 10:00:00Z, 07:32:00]\n",
        "a = [1_000, 0x1F, 1e3, nan, 2013-01-01 10:00:00Z, 07:32:00]\n",
    ),
    "texts of several lines are not touched": (
        NONE,
        "a=\"\"\"\n  select *  \n\n    from t\n\"\"\"   # beside\nb='''\n  x'''\n",
        "a = \"\"\"\n  select *  \n\n    from t\n\"\"\"  # beside\nb = '''\n  x'''\n",
    ),
    "lists": (
        NONE,
        f"""\
        joined = ["a",
            "b"]
        spread = ["a",
            "b",]
        commented = [ # first
          "a" # a
          , "b", # b
          # end
        ]
        long = ["{"a" * 60}", {{x=[1,2]}}, "{"b" * 50}"]
        """,
        f"""\
        joined = ["a", "b"]
        spread = [
          "a",
          "b",
        ]
        commented = [
          # first
          "a",  # a
          "b",  # b
          # end
        ]
        long = [
          "{"a" * 60}",
          {{ x = [1, 2] }},
          "{"b" * 50}",
        ]
        """,
    ),
    "blank lines and comments between tables": (
        NONE,
        """\
        a = 1
        # at the end


        # Banner

        [t]

        b = 1



        c = 2
        # of u
        [u]
        # the end
        """,
        """\
        a = 1
        # at the end

        # Banner

        [t]
        b = 1

        c = 2

        # of u
        [u]
        # the end
        """,
    ),
}


@pytest.mark.parametrize("case", YAML)
def test_canonical_yaml(case: str) -> None:
    order, before, after = YAML[case]
    assert format_text(textwrap.dedent(before), ".yml", order) == textwrap.dedent(after)


@pytest.mark.parametrize("case", TOML)
def test_canonical_toml(case: str) -> None:
    order, before, after = TOML[case]
    assert format_text(textwrap.dedent(before), ".toml", order) == textwrap.dedent(after)


@pytest.mark.parametrize(
    ("text", "suffix", "reason"),
    [
        ("%YAML 1.2\n---\na: 1\n", ".yml", "directive"),
        ("a: [ # nothing\n]\n", ".yml", "empty list"),
        ("a: |+\n  x\n\nb: 1\n", ".yml", "keeps the blank lines"),
        ("&a\nb:   1\n", ".yml", "anchor"),
        ("a: &x\n  1\n", ".yml", "another line"),
        ("a: \u2028\n", ".yml", "line break"),
        ("a = [ # nothing\n]\n", ".toml", "empty list"),
    ],
)
def test_what_has_no_canonical_form_says_why(text: str, suffix: str, reason: str) -> None:
    with pytest.raises(CannotFormat, match=reason):
        format_text(text, suffix, NONE)


def test_a_form_that_would_be_read_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of each result holds, whatever a mistake in the forms may do."""
    import modelfactory.project.yaml_form as form

    for text, wrong in [("a:  1\n", "a: 1.0\n"), ("a:  no\n", "a: [\n"), ("a:  1 # c\n", "a: 1\n")]:
        monkeypatch.setattr(form, "formatted", lambda *_, wrong=wrong, **__: wrong)
        with pytest.raises(CannotFormat):
            format_text(text, ".yml", NONE)


@pytest.mark.parametrize(
    "file",
    [file for folder in (*PROJECTS.iterdir(), ROOT / "modelfactory/starter") for file in folder.rglob("*.[yt]*ml")],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_the_examples_are_in_canonical_form(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    root = next(folder for folder in file.parents if list(folder.glob("mf_project.*")))
    assert format_text(text, file.suffix, order_of(file, root)) == text


def comparable(data: Any) -> Any:
    """Return data in which 1, 1.0 and true differ, NaN is itself, and the order of keys does not count."""
    match data:
        case dict():
            return {key: comparable(value) for key, value in data.items()}
        case list():
            return [comparable(value) for value in data]
        case _:
            return type(data), repr(data)


def written_properly(document: tuple[str, list[str]], suffix: str, order: KeyOrder) -> None:
    text, comments = document
    try:
        before = read_plain(text, suffix)
    except InputError:
        assume(False)
    formatted = format_text(text, suffix, order)
    assert comparable(read_plain(formatted, suffix)) == comparable(before)
    assert all(comment in formatted for comment in comments)
    assert format_text(formatted, suffix, order) == formatted


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(yaml_documents(), st.sampled_from([DEFINITIONS, FAMILY, NONE]))
def test_any_yaml_is_written_properly(document: tuple[str, list[str]], order: KeyOrder) -> None:
    written_properly(document, ".yml", order)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(toml_documents(), st.sampled_from([DEFINITIONS, PROJECT, NONE]))
def test_any_toml_is_written_properly(document: tuple[str, list[str]], order: KeyOrder) -> None:
    written_properly(document, ".toml", order)
