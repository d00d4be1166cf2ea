"""The grammar of selectors: from text to an expression and back; knows no project.

    selection  =  term { " " term }                   union
    term       =  operand { "," operand }             intersection
    operand    =  ( "!" | "not " ) operand  |  walk
    walk       =  [ [n] "@" ] [ [n] "+" ] atom [ "+" [n] ]
    atom       =  "(" selection ")"  |  [ method { "." argument } ":" ] value

It is dbt's grammar with parentheses and negation. What dbt understands means the same here; only what dbt refuses, or
what selects nothing there, has got a meaning of its own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from modelfactory.diagnostics import Code, Diagnostic, InputError, Place, Position, did_you_mean, nearest

STATES = ("new", "old", "modified", "unmodified")
"""Values of `state:`."""
MODIFIED = (
    "body",
    "configs",
    "params",
    "features",
    "label",
    "groups",
    "meta",
    "tests",
    "parents",
)
"""What may be modified: `state:modified.body` and so on."""
RESULTS = (
    "success",
    "reused",
    "error",
    "skipped",
    "trained",
    "reused",
    "too_few_rows",
    "too_many_rows",
    "null_key",
    "one_class",
    "failed",
    "timed_out",
    "crashed",
)
"""Values of `result:`: statuses of families, then of groups."""
KINDS = ("family", "source")
"""Values of `resource_type:`."""
METHODS = (
    "fqn",
    "name",
    "path",
    "file",
    "tag",
    "source",
    "config",
    "estimator",
    "owner",
    "resource_type",
    "package",
    "selector",
    "state",
    "result",
)
FILE_SUFFIXES = (".yml", ".yaml", ".toml", ".sql")
DEEPEST = 40
"""How deep parentheses and negations may be nested."""


# Expressions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Criterion:
    """What one method chooses.

    Attributes:
        method: name of the method; never the alias `name`.
        arguments: the dotted parts behind it, which only `config` has.
        value: what to look for.
        place: tells where it is written.
    """

    method: str
    arguments: tuple[str, ...]
    value: str
    place: Callable[[], Place | None] = field(default=lambda: None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Walk:
    """What an expression chooses, with nodes above and below it; 0 steps are none, None is as many as there are."""

    inner: Expression
    parents: int | None
    children: int | None


@dataclass(frozen=True, slots=True)
class Around:
    """What an expression chooses, all below it as far as `depth`, and all that is above any of these: `@`."""

    inner: Expression
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Not:
    """The families that an expression does not choose; beside others of an intersection, what it takes from them."""

    inner: Expression


@dataclass(frozen=True, slots=True)
class AllOf:
    """What every part chooses."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """What any part chooses; nothing if there is none."""

    parts: tuple[Expression, ...]


Expression = Criterion | Walk | Around | Not | AllOf | AnyOf
At = Callable[[int, int], Place | None]
"""Tells the place of a stretch of a selector's text."""


# Parsing ------------------------------------------------------------------------------------------------------------


def parse_options(texts: Sequence[str], *, option: str) -> Expression:
    """Parse the values of an option that may be repeated; they are a union.

    Args:
        texts: the values.
        option: the option as the user writes it, such as `--select`.

    Raises:
        InputError: one of them is no selector; the place shows which piece of it.
    """
    found: list[Expression] = []
    for text in texts:
        parsed = parse(text, at=functools.partial(_place_in_option, option, text))
        found += parsed.parts if isinstance(parsed, AnyOf) else [parsed]
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def parse(text: str, *, at: At, code: Code = Code.BAD_OPTION) -> Expression:
    """Parse the text of one selector.

    Args:
        text: the selector.
        at: tells the place of a piece of it.
        code: code of the diagnostic if it is wrong.

    Raises:
        InputError: it is no selector.
    """
    return _Parser(text, at, code).parse()


def _place_in_option(option: str, text: str, start: int, end: int) -> Place:
    return Place(file=option, position=Position(1, start + 1, max(end - start, 1)), source_line=text)


class WrongCriterion(Exception):
    """A method or its value is not one that there is.

    Attributes:
        part: which of both.
        help: the nearest right thing.
    """

    def __init__(self, message: str, part: Literal["method", "value"], help: str | None) -> None:
        super().__init__(message)
        self.part = part
        self.help = help


def make_criterion(method: str, value: str, place: Callable[[], Place | None]) -> Criterion:
    """Make a criterion of a method with its arguments, as written, and a value.

    Raises:
        WrongCriterion: there is no such method, or it does not take this value.
    """
    name, *arguments = method.split(".")
    if name not in METHODS:
        near = nearest(name, METHODS)
        hint = f"did you mean `{'.'.join([near, *arguments])}:{value}`?" if near else did_you_mean(name, METHODS)
        raise WrongCriterion(f"unknown selection method `{name}:`", "method", hint)
    if name == "config":
        if not all(arguments) or not arguments:
            raise WrongCriterion("`config` needs a key", "method", "for example `config.estimator.params.alpha:1.0`")
    elif arguments:
        hint = f"`state:{'.'.join(arguments)}.{value}`" if name == "state" else f"`{name}:{value}`"
        raise WrongCriterion(f"`{name}` takes no argument `{'.'.join(arguments)}`", "method", f"did you mean {hint}?")
    name = "fqn" if name == "name" else name
    _check_value(name, value)
    return Criterion(name, tuple(arguments), value, place)


def _check_value(method: str, value: str) -> None:
    if method == "state" and value.startswith("modified."):
        known: Sequence[str] = [f"modified.{what}" for what in MODIFIED]
    elif method in _CLOSED:
        known = _CLOSED[method]
    elif method == "source" and value.count(".") > 1:
        message = f"`{value}` has too many parts: a source is NAME, or PROJECT.NAME"
        raise WrongCriterion(message, "value", f"did you mean `source:{value.rpartition('.')[2]}`?")
    else:
        return
    if value not in known:
        hint = did_you_mean(value, known, listed=len(known))
        raise WrongCriterion(f"`{method}:` knows no `{value}`", "value", hint)


_CLOSED: Mapping[str, Sequence[str]] = {"state": STATES, "result": RESULTS, "resource_type": KINDS}


def default_method(value: str) -> str:
    """Return the method of a value that has none: a path, a file, or else a name."""
    if "/" in value:
        return "path"
    return "file" if value.endswith(FILE_SUFFIXES) else "fqn"


_BEFORE = re.compile(r"(?:(?P<around>[0-9]*)@)?(?:(?P<parents>[0-9]*)\+)?")
_BEHIND = re.compile(r"\+(?P<children>[0-9]*)")
_AT_THE_END = re.compile(rf"{_BEHIND.pattern}\Z")
_METHOD = re.compile(r"([\w.]*|config\.[\w.-]+):")
_NOT = re.compile(r"!\s*|not(?:\s+(?=[^\s,)])|(?=\())")
_COMMA_HELP = "`a,b` without a space is what both choose, `a b` what either does"


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str, at: At, code: Code) -> None:
        self.text = text
        self.at = at
        self.code = code
        self.here = 0

    def parse(self) -> Expression:
        return self._union(depth=0)

    def _union(self, depth: int) -> Expression:
        """Read terms up to the end, or in a group up to its parenthesis."""
        parts: list[Expression] = []
        while True:
            while self._next().isspace():
                self.here += 1
            if not self._next() or (depth and self._next() == ")"):
                return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))
            parts.append(self._intersection(depth))

    def _intersection(self, depth: int) -> Expression:
        parts = [self._operand(depth, depth)]
        while self._next() == ",":
            self.here += 1
            parts.append(self._operand(depth, depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _operand(self, depth: int, nested: int) -> Expression:
        """Read what stands between commas; `depth` counts the groups around it, `nested` negations too."""
        if nested > DEEPEST:
            raise self._wrong(f"nested deeper than {DEEPEST} levels", self.here, self.here + 1)
        negation = _NOT.match(self.text, self.here)
        if negation is None:
            return self._walk(depth, nested)
        self.here = negation.end()
        if self._next() in ("", ",") or (depth and self._next() == ")"):
            raise self._wrong("there is nothing to negate", negation.start(), negation.end())
        return Not(self._operand(depth, nested + 1))

    def _walk(self, depth: int, nested: int) -> Expression:
        start = self.here
        before = _BEFORE.match(self.text, start)
        assert before is not None  # it may be empty
        self.here = before.end()
        if before[0] and self._next() == "!":
            help = "`!+x` is what `+x` does not choose, `+(!x)` what is above all but x"
            raise self._wrong("`!` cannot stand behind `+` or `@`", self.here, self.here + 1, help=help)
        inner, behind = self._group(nested) if self._next() == "(" else self._criterion(start, depth)
        if before["around"] is not None:
            if behind is not None:
                raise self._wrong(
                    "`@` in front and `+` behind exclude each other",
                    start,
                    self.here,
                    help="`@x` has all that is below x already",
                )
            return Around(inner, _steps(before["around"]))  # with all parents, whatever a `+` says
        parents = 0 if before["parents"] is None else _steps(before["parents"])
        children = 0 if behind is None else _steps(behind)
        return inner if parents == children == 0 else Walk(inner, parents, children)

    def _group(self, nested: int) -> tuple[Expression, str | None]:
        start = self.here
        self.here += 1
        inner = self._union(nested + 1)
        if self._next() != ")":
            raise self._wrong("the parenthesis is not closed", start, start + 1)
        self.here += 1
        if inner == AnyOf(()):
            raise self._wrong("there is nothing between the parentheses", start, self.here)
        behind = _BEHIND.match(self.text, self.here)
        self.here = behind.end() if behind else self.here
        if self._next() not in ("", ",", ")") and not self._next().isspace():
            raise self._wrong("behind a parenthesis a space or a comma is missing", self.here, self.here + 1)
        return inner, behind["children"] if behind else None

    def _criterion(self, first: int, depth: int) -> tuple[Criterion, str | None]:
        start, end, stray = self._word(in_group=depth > 0)
        behind = _AT_THE_END.search(self.text, start, end)
        last = behind.start() if behind else end
        found = _METHOD.match(self.text, start, last)
        value = self.text[found.end() if found else start : last]
        self.here = end
        method = found[1] if found else default_method(value)
        if not found and not value:
            beside_comma = self._next() == "," or self.text[:first].endswith(",")
            message = "there is nothing to select" + (" beside the comma" if beside_comma else "")
            raise self._wrong(message, first, max(end, first + 1), help=_COMMA_HELP if beside_comma else None)
        if method == "fqn" and not found and stray is not None:
            raise self._wrong("a parenthesis is closed that was not opened", stray, stray + 1)
        place = functools.partial(self.at, first, end)
        try:
            return make_criterion(method, value, place), behind["children"] if behind else None
        except WrongCriterion as wrong:
            split = found.end() if found else start
            where = (start, split) if wrong.part == "method" else (split, last)
            raise self._wrong(str(wrong), *where, help=wrong.help) from None

    def _word(self, *, in_group: bool) -> tuple[int, int, int | None]:
        """Return where a criterion begins and ends, and the first parenthesis in it that closes none of its own.

        In a group such a parenthesis ends the criterion; elsewhere it is part of it, as every other sign is.
        """
        opened, stray = 0, None
        for end in range(self.here, len(self.text)):
            sign = self.text[end]
            if sign == "," or sign.isspace():
                return self.here, end, stray
            if sign == "(":
                opened += 1
            elif sign == ")" and opened:
                opened -= 1
            elif sign == ")":
                if in_group:
                    return self.here, end, None
                stray = end if stray is None else stray
        return self.here, len(self.text), stray

    def _next(self) -> str:
        return self.text[self.here : self.here + 1]

    def _wrong(self, message: str, start: int, end: int, *, help: str | None = None) -> InputError:
        where = self.at(start, end)
        return InputError(Diagnostic(code=self.code, message=message, place=where, help=help))


def _steps(digits: str) -> int | None:
    """Return how many steps to go: all if there are no digits, or so many that it is the same."""
    digits = digits.lstrip("0") or digits[:1]
    return int(digits) if 0 < len(digits) < 10 else None


# Text ---------------------------------------------------------------------------------------------------------------


def text_of(expression: Expression) -> str:
    """Write an expression as a selector; parsed again, it is the same."""
    match expression:
        case Criterion():
            return _criterion_text(expression)
        case Walk(inner, parents, children):
            above = "" if parents == 0 else f"{_digits(parents)}+"
            below = "" if children == 0 else f"+{_digits(children)}"
            return f"{above}{_atom_text(inner)}{below}"
        case Around(inner, depth):
            return f"{_digits(depth)}@{_atom_text(inner)}"
        case Not(inner):
            return f"!{_grouped(inner) if isinstance(inner, AllOf | AnyOf) else text_of(inner)}"
        case AllOf(parts):
            return ",".join(_grouped(p) if isinstance(p, AllOf | AnyOf) else text_of(p) for p in parts)
        case AnyOf(parts):
            return " ".join(_grouped(p) if isinstance(p, AnyOf) else text_of(p) for p in parts)


def _atom_text(expression: Expression) -> str:
    return text_of(expression) if isinstance(expression, Criterion) else _grouped(expression)


def _grouped(expression: Expression) -> str:
    return f"({text_of(expression)})"


def _digits(steps: int | None) -> str:
    return "" if steps is None else str(steps)


_LIKE_GRAMMAR = re.compile(r"[(!]|[0-9]*(?:[@+]|\Z)|[\w.]*:|config\.|not(?:\(|\Z)")


def _criterion_text(criterion: Criterion) -> str:
    value = criterion.value
    plain = not criterion.arguments and default_method(value) == criterion.method
    if plain and value and ")" not in value and not _LIKE_GRAMMAR.match(value):
        return value
    return f"{'.'.join((criterion.method, *criterion.arguments))}:{value}"
