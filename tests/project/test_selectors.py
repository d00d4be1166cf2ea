"""The grammar of selectors: what a text means, and where it is wrong."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from modelfactory.commands.report import FamilyStatus
from modelfactory.diagnostics import InputError
from modelfactory.plan.outcomes import Status
from modelfactory.project.selectors import (
    RESULTS,
    AllOf,
    AnyOf,
    Around,
    Criterion,
    Expression,
    Not,
    Walk,
    default_method,
    parse_options,
    text_of,
)


def parsed(*texts: str) -> Expression:
    return parse_options(texts, option="--select")


def fqn(value: str) -> Criterion:
    return Criterion("fqn", (), value)


def tag(value: str) -> Criterion:
    return Criterion("tag", (), value)


# One criterion, as dbt reads it -----------------------------------------------------------------------------------

OPERATORS = [
    ("{}", 0, 0),
    ("+{}", None, 0),
    ("256+{}", 256, 0),
    ("{}+", 0, None),
    ("{}+256", 0, 256),
    ("+{}+", None, None),
    ("16+{}+32", 16, 32),
    ("0+{}", 0, 0),
    ("{}+0", 0, 0),
    ("1+{}+0", 1, 0),
    ("00012+{}", 12, 0),
    ("9999999999999+{}", None, 0),
]


@pytest.mark.parametrize(
    ("written", "criterion"),
    [
        ("a", fqn("a")),
        ("a.b", fqn("a.b")),
        ("a.b.*", fqn("a.b.*")),
        ("a[0-9]?", fqn("a[0-9]?")),
        ("fqn:a", fqn("a")),
        ("name:a", fqn("a")),
        ("fqn:families/a", fqn("families/a")),
        ("tag:a", tag("a")),
        ("tag:a:b", tag("a:b")),
        ("tag:a+b", tag("a+b")),
        ("tag:", tag("")),
        ("source:a", Criterion("source", (), "a")),
        ("config.meta.a:b", Criterion("config", ("meta", "a"), "b")),
        ("config.meta.my-key:b", Criterion("config", ("meta", "my-key"), "b")),
        ("config.estimator.params.alpha:>10", Criterion("config", ("estimator", "params", "alpha"), ">10")),
        ("families/a", Criterion("path", (), "families/a")),
        ("my-folder:a/b", Criterion("path", (), "my-folder:a/b")),
        ("families/**/*.toml", Criterion("path", (), "families/**/*.toml")),
        ("path:a", Criterion("path", (), "a")),
        ("a.yml", Criterion("file", (), "a.yml")),
        ("*.toml", Criterion("file", (), "*.toml")),
        ("state:modified.params", Criterion("state", (), "modified.params")),
    ],
)
@pytest.mark.parametrize(("operators", "parents", "children"), OPERATORS)
def test_a_criterion_has_a_method_a_value_and_operators(
    written: str, criterion: Criterion, operators: str, parents: int | None, children: int | None
) -> None:
    expected = criterion if parents == children == 0 else Walk(criterion, parents, children)
    assert parsed(operators.format(written)) == expected


@pytest.mark.parametrize(("written", "depth"), [("@a", None), ("20@a", 20), ("0@a", 0), ("@+a", None), ("3@2+a", 3)])
def test_at_is_all_below_and_what_that_needs(written: str, depth: int | None) -> None:
    assert parsed(written) == Around(fqn("a"), depth)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a++", Walk(fqn("a+"), 0, None)),
        ("++a", Walk(fqn("+a"), None, 0)),
        ("1+2", Walk(fqn("2"), 1, 0)),
        ("+@a", Walk(fqn("@a"), None, 0)),
        ("tag:a(b)", tag("a(b)")),
        ("tag:a)", tag("a)")),
        ("tag:(", tag("(")),
    ],
)
def test_what_looks_odd_is_read_as_dbt_reads_it(written: str, expected: Expression) -> None:
    assert parsed(written) == expected


# Sets -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a b"], AnyOf((fqn("a"), fqn("b")))),
        (["a", "b"], AnyOf((fqn("a"), fqn("b")))),
        (["a b", "c"], AnyOf((fqn("a"), fqn("b"), fqn("c")))),
        (["  a   b\n"], AnyOf((fqn("a"), fqn("b")))),
        (["a,b"], AllOf((fqn("a"), fqn("b")))),
        (["a b,c"], AnyOf((fqn("a"), AllOf((fqn("b"), fqn("c")))))),
        (["+a,b+1"], AllOf((Walk(fqn("a"), None, 0), Walk(fqn("b"), 0, 1)))),
        ([""], AnyOf(())),
        (["", "a"], fqn("a")),
        ([], AnyOf(())),
        # What dbt has not.
        (["!a"], Not(fqn("a"))),
        (["not a"], Not(fqn("a"))),
        (["not  a b"], AnyOf((Not(fqn("a")), fqn("b")))),
        (["!a,b"], AllOf((Not(fqn("a")), fqn("b")))),
        (["a,not b c"], AnyOf((AllOf((fqn("a"), Not(fqn("b")))), fqn("c")))),
        (["!+a"], Not(Walk(fqn("a"), None, 0))),
        (["not not !a"], Not(Not(Not(fqn("a"))))),
        (["not(a b)"], Not(AnyOf((fqn("a"), fqn("b"))))),
        (["(a)"], fqn("a")),
        (["((a b))"], AnyOf((fqn("a"), fqn("b")))),
        (["( a b ),c"], AllOf((AnyOf((fqn("a"), fqn("b"))), fqn("c")))),
        (["a (b c)"], AnyOf((fqn("a"), AnyOf((fqn("b"), fqn("c")))))),
        (["1+(a,b)+"], Walk(AllOf((fqn("a"), fqn("b"))), 1, None)),
        (["@(a b)"], Around(AnyOf((fqn("a"), fqn("b"))))),
        (["(tag:a(b) c)"], AnyOf((tag("a(b)"), fqn("c")))),
        (["(a+)+1"], Walk(Walk(fqn("a"), 0, None), 0, 1)),
    ],
)
def test_a_space_is_a_union_and_a_comma_an_intersection(texts: list[str], expected: Expression) -> None:
    assert parsed(*texts) == expected


@pytest.mark.parametrize("written", ["not", "+not", "not+", "not,not", "(a not )", "nothing", "a not"])
def test_not_by_itself_is_a_name(written: str) -> None:
    def names(expression: Expression) -> list[str]:
        match expression:
            case Criterion(value=value):
                return [value]
            case Walk(inner):
                return names(inner)
            case AllOf(parts) | AnyOf(parts):
                return [name for part in parts for name in names(part)]
            case _:
                raise AssertionError(expression)

    assert set(names(parsed(written))) <= {"not", "a", "nothing"}


# Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "message", "piece", "help"),
    [
        ("a @x+", "`@` in front and `+` behind exclude each other", "@x+", "all that is below"),
        ("@x.y+", "exclude each other", "@x.y+", ""),
        ("@tag:x+3", "exclude each other", "@tag:x+3", ""),
        ("@source:x+", "exclude each other", "@source:x+", ""),
        ("@(a b)+", "exclude each other", "@(a b)+", ""),
        ("a tags:nightly", "unknown selection method `tags:`", "tags:", "did you mean `tag:nightly`?"),
        ("TAG:nightly", "unknown selection method `TAG:`", "TAG:", "did you mean `tag:nightly`?"),
        ("a,configs.meta.x:1", "unknown selection method `configs:`", "configs.meta.x:", "`config.meta.x:1`"),
        (":late", "unknown selection method `:`", ":", "known: `config`"),
        ("qqqq:x", "unknown selection method `qqqq:`", "qqqq:", "known: "),
        ("state:changed", "`state:` knows no `changed`", "changed", "known: `modified`, `new`, `old`, `unmodified`"),
        ("state:modifed", "`state:` knows no `modifed`", "modifed", "did you mean `modified`?"),
        ("+state:modified.parms+2", "no `modified.parms`", "modified.parms", "did you mean `modified.params`?"),
        ("state.modified:params", "`state` takes no argument", "state.modified:", "`state:modified.params`"),
        ("result:eror", "`result:` knows no `eror`", "eror", "did you mean `error`?"),
        ("result:timedout", "`result:` knows no `timedout`", "timedout", "did you mean `timed_out`?"),
        ("resource_type:model", "`resource_type:` knows no `model`", "model", "known: `family`, `source`"),
        ("source:a.b.c.d", "too many parts", "a.b.c.d", "did you mean `source:d`?"),
        ("tag.x:y", "`tag` takes no argument `x`", "tag.x:", "did you mean `tag:y`?"),
        ("config:x", "`config` needs a key", "config:", "for example"),
        ("config.:x", "`config` needs a key", "config.:", "for example"),
        ("a , b", "nothing to select beside the comma", ",", "`a,b` without a space"),
        ("a, b", "nothing to select beside the comma", " ", ""),
        ("a,,b", "nothing to select beside the comma", ",", ""),
        ("(a,)", "nothing to select beside the comma", ")", ""),
        ("a +", "nothing to select", "+", ""),
        ("5+", "nothing to select", "5+", ""),
        ("@", "nothing to select", "@", ""),
        ("!", "nothing to negate", "!", ""),
        ("a !,b", "nothing to negate", "!", ""),
        ("+!x", "`!` cannot stand behind `+` or `@`", "!", "`!+x`"),
        ("a (b", "the parenthesis is not closed", "(", ""),
        ("a)", "a parenthesis is closed that was not opened", ")", ""),
        ("(a b))", "a parenthesis is closed that was not opened", ")", ""),
        ("()", "nothing between the parentheses", "()", ""),
        ("(a)b", "a space or a comma is missing", "b", ""),
        ("(a)(b)", "a space or a comma is missing", "(", ""),
        ("(" * 99, "nested deeper than 40 levels", "(", ""),
        ("!" * 99 + "a", "nested deeper than 40 levels", "!", ""),
    ],
)
def test_a_mistake_shows_the_piece_that_is_wrong(written: str, message: str, piece: str, help: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed("fine", written)
    [found] = caught.value.diagnostics
    assert found.code == "MF502"
    assert found.place is not None
    assert (found.place.file, found.source_line) == ("--select", written)
    assert found.position is not None
    start = found.position.column - 1
    assert (written + " ")[start : start + found.position.length] == piece
    assert message in found.message
    assert help in (found.help or "")


def test_the_statuses_of_results_are_those_that_a_run_writes() -> None:
    assert (*typing.get_args(FamilyStatus), *(str(status) for status in Status)) == RESULTS


# Laws -------------------------------------------------------------------------------------------------------------

# Any sign that ends no value, and no parenthesis: those must be in pairs, as a test above has them.
_value = st.text(
    st.characters(codec="utf-8", exclude_characters=",()", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")),
    min_size=1,
    max_size=8,
)


def _typed(criterion: Criterion) -> bool:
    """Tell whether a criterion can be typed: what ends in `+` or `+1` is an operator."""
    return not criterion.value.rstrip("0123456789").endswith("+")


@st.composite
def criteria(draw: st.DrawFn) -> Criterion:
    value = draw(_value | st.sampled_from(["not", "a/b", "x.yml", "!a", "12"]))
    method = draw(st.sampled_from(["tag", "config", default_method(value)]))
    arguments = tuple(draw(st.lists(st.sampled_from("ab"), min_size=1))) if method == "config" else ()
    made = Criterion(method, arguments, value)
    assume(_typed(made))
    return made


_steps = st.none() | st.integers(0, 12)
expressions: st.SearchStrategy[Expression] = st.recursive(
    criteria(),
    lambda inner: st.one_of(
        st.builds(Walk, inner, _steps, _steps).filter(lambda w: (w.parents, w.children) != (0, 0)),
        st.builds(Around, inner, _steps),
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(expressions)
@example(fqn("not"))
@example(Walk(fqn("0"), 0, None))
@example(AnyOf((fqn("a"), AnyOf((fqn("not"), Not(fqn("(x)")))))))
def test_what_is_written_out_is_read_back(expression: Expression) -> None:
    assert parsed(text_of(expression)) == expression


@settings(deadline=None)
@given(st.text("ab+@(),!:. \t*[]0129-_/", max_size=20) | st.text(max_size=20))
@example("+" + "9" * 5000)
@example("9" * 5000 + "+a")
@example("a+" + "9" * 5000)
def test_any_text_is_a_selector_or_a_mistake_with_a_place(text: str) -> None:
    try:
        found = parsed(text)
    except InputError as error:
        [diagnostic] = error.diagnostics
        assert diagnostic.position is not None
        assert 1 <= diagnostic.position.column <= len(text) + 1
    else:
        assert dataclasses.is_dataclass(found)
        text_of(found)
