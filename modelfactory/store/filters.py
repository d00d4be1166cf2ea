"""The expressions of `--where`: comparisons over the columns of a group table, joined by and, or, not.

`status = failed and n_rows > 100`, `dest in (LAX, SFO)`, `metrics.rmse > 30`, `error_type is not null`. A metric may
be written without `metrics.`; a word that is no column is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.diagnostics import Code, InputError, did_you_mean, input_error

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w-]))|(?P<text>'(?:[^']|'')*'|\"[^\"]*\")"
    r"|(?P<word>[\w.$-]+)|(?P<sign><=|>=|<>|!=|==|=|<|>|\(|\)|,))"
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal,
    "==": pc.equal,
    "!=": pc.not_equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def filter_table(table: pa.Table, where: str) -> pa.Table:
    """Return the rows for which the expression is true; null is not true.

    Raises:
        InputError: the expression cannot be read, or names a column that is not there.
    """
    try:
        return table.filter(_Parser(table, where).parse())
    except RecursionError:
        raise input_error(Code.BAD_OPTION, "the expression of `--where` is nested too deeply") from None


def column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column, or a metric as `metrics.NAME`, `baseline.NAME` or `NAME`.

    Raises:
        InputError: there is no such column.
    """
    if name in table.column_names:
        return table[name]
    base, _, metric = name.rpartition(".")
    if (base or "metrics") in ("metrics", "baseline") and metric in metric_names(table):
        return pa.chunked_array([pc.map_lookup(table[base or "metrics"].combine_chunks(), metric, "first")])
    raise input_error(
        Code.BAD_OPTION,
        f"no column `{name}`",
        help=did_you_mean(metric, [*metric_names(table), *table.column_names]),
    )


def plain_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column whose values can be compared and sorted.

    Raises:
        InputError: there is no such column, or it holds mappings or lists.
    """
    values = column(table, name)
    if pa.types.is_nested(values.type):
        hint = " or ".join(f"`{metric}`" for metric in metric_names(table)) if name in ("metrics", "baseline") else None
        raise input_error(Code.BAD_OPTION, f"column `{name}` holds no plain values", help=hint)
    return values


def metric_names(table: pa.Table) -> list[str]:
    """Return the names of the metrics in a group table, sorted."""
    names: set[str] = set()
    for chunk in table["metrics"].chunks:
        names |= set(pc.unique(chunk.keys).to_pylist())
    return sorted(names)


class _Parser:
    """Recursive descent over the tokens; evaluates while it reads."""

    def __init__(self, table: pa.Table, text: str) -> None:
        self.table = table
        self.text = text
        self.tokens = list(self._tokens())
        self.at = 0

    def parse(self) -> pa.ChunkedArray:
        mask = self._either()
        if self.at < len(self.tokens):
            raise self._bad(f"unexpected `{self.tokens[self.at][1]}`")
        return mask

    def _either(self) -> Any:
        mask = self._both()
        while self._word("or"):
            mask = pc.or_kleene(mask, self._both())
        return mask

    def _both(self) -> Any:
        mask = self._negated()
        while self._word("and"):
            mask = pc.and_kleene(mask, self._negated())
        return mask

    def _negated(self) -> Any:
        if self._word("not"):
            return pc.invert(self._negated())
        if self._sign("("):
            mask = self._either()
            self._expect(")")
            return mask
        return self._comparison()

    def _comparison(self) -> Any:
        kind, name = self._next()
        if kind not in ("word", "text"):
            raise self._bad(f"`{name}` is not a column")
        values = plain_column(self.table, name)
        if pa.types.is_integer(values.type):
            values = values.cast(pa.float64(), safe=False) if self._compares_with_fraction() else values
        if self._word("is"):
            inverted = self._word("not")
            if not self._word("null"):
                raise self._bad("`is` goes with `null` or `not null`")
            return pc.is_valid(values) if inverted else pc.is_null(values)
        inverted = self._word("not")
        if self._word("in"):
            self._expect("(")
            options = [self._value(values)]
            while self._sign(","):
                options.append(self._value(values))
            self._expect(")")
            mask = pc.is_in(values, value_set=pa.array(options, values.type))
            return pc.and_(pc.invert(mask), pc.is_valid(values)) if inverted else mask
        kind, sign = self._next()
        if kind != "sign" or sign not in _COMPARE:
            raise self._bad(f"`{sign}` does not compare")
        return _COMPARE[sign](values, pa.scalar(self._value(values), values.type))

    def _compares_with_fraction(self) -> bool:
        """Tell whether one of the next values is a number that is not written as a whole one."""
        return any(kind == "number" and not text.lstrip("-").isdigit() for kind, text in self.tokens[self.at :])

    def _value(self, values: pa.ChunkedArray) -> Any:
        kind, text = self._next()
        text = text.removeprefix("+") if kind == "number" else text
        try:
            if pa.types.is_boolean(values.type):
                return {"true": True, "false": False}[text.lower()]
            return pa.scalar(text).cast(values.type).as_py()
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise self._bad(f"`{text}` is not a value of type {values.type}") from None

    def _tokens(self) -> Any:
        at = 0
        while at < len(self.text.rstrip()):
            found = _TOKEN.match(self.text, at)
            if not found or found.lastgroup is None:
                raise self._bad(f"cannot read `{self.text[at:].strip()}`")
            value = found[found.lastgroup]
            if found.lastgroup == "text":
                value = value[1:-1].replace("''", "'")
            yield found.lastgroup, value
            at = found.end()

    def _next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._bad("it ends too early")
        self.at += 1
        token: tuple[str, str] = self.tokens[self.at - 1]
        return token

    def _word(self, word: str) -> bool:
        return self._accept("word", word)

    def _sign(self, sign: str) -> bool:
        return self._accept("sign", sign)

    def _accept(self, kind: str, text: str) -> bool:
        if self.at < len(self.tokens):
            found_kind, found = self.tokens[self.at]
            if found_kind == kind and found.lower() == text:
                self.at += 1
                return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._bad(f"`{sign}` is missing")

    def _bad(self, reason: str) -> InputError:
        return input_error(
            Code.BAD_OPTION,
            f"cannot read `--where {self.text}`: {reason}",
            help="for example: status = failed and n_rows > 100",
        )
