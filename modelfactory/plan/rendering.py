"""Render the Jinja of `sql` to Spark SQL; the only place that uses Jinja."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from modelfactory.diagnostics import did_you_mean, nearest
from modelfactory.plan.steps import groups_relation


class SqlTemplateError(Exception):
    """The template cannot be rendered.

    Attributes:
        line: line inside the template, from 1, if known.
        source: name of the source that is not known, if that is the reason.
        family: name of the family that is not known, if that is the reason.
        word: what is wrong in the line, if that is one word.
        help: the nearest right thing.
    """

    def __init__(
        self,
        message: str,
        line: int | None,
        *,
        source: str | None = None,
        family: str | None = None,
        word: str | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(message)
        self.line = line
        self.source = source
        self.family = family
        self.word = word
        self.help = help


@dataclass(frozen=True, slots=True)
class RenderedSql:
    """SQL, and the names of the sources and of the families it reads, in order of their first mention."""

    text: str
    sources: tuple[str, ...]
    refs: tuple[str, ...] = ()


class EnvironmentValue(str):
    """A value of the environment inside a template.

    It compares as the value, and is in every other way a placeholder, which becomes a reference once the template is
    rendered: whatever a template does to it, the value is not in the result.
    """

    _value: str

    def __new__(cls, placeholder: str, value: str) -> EnvironmentValue:
        """Wrap a value; its text is the placeholder."""
        made = super().__new__(cls, placeholder)
        made._value = value
        return made

    def __eq__(self, other: object) -> bool:
        return self._value == (other._value if isinstance(other, EnvironmentValue) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)


class _Environment:
    """Hands out placeholders for values of the environment and puts references in their place."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.names: list[str] = []

    def placeholder(self, name: str) -> EnvironmentValue:
        if name not in self.names:
            self.names.append(name)
        return EnvironmentValue(f"{_OPEN}{chr(_FIRST + self.names.index(name))}{_CLOSE}", self.environ[name])

    def referenced(self, text: str) -> str:
        for index, name in enumerate(self.names):
            text = text.replace(f"{_OPEN}{chr(_FIRST + index)}{_CLOSE}", f"${{env:{name}}}")
        return text


_KNOWN = ("source", "ref", "var", "env_var", "target")
_OPEN, _CLOSE, _FIRST = "\ue000", "\ue001", 0xE100  # characters for private use, which no filter changes


def render_sql(
    template: str,
    *,
    relations: Mapping[str, str],
    families: Collection[str],
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    target: str,
) -> RenderedSql:
    """Render a family's `sql`.

    Values of the environment are rendered as `${env:NAME}` and filled in when the query runs, so that they
    appear in no plan and no message.

    Args:
        template: the text as written.
        relations: what to write for each source.
        families: names that `ref()` knows.
        variables: what `var()` knows.
        environ: what `env_var()` knows.
        target: name of the target.

    Raises:
        SqlTemplateError: bad Jinja, or a name that is not known.
    """
    read: dict[str, None] = {}
    refs: dict[str, None] = {}

    def source(name: str) -> str:
        if name not in relations:
            raise _Unknown("source", name, relations)
        read[name] = None
        return relations[name]

    def ref(name: str) -> str:
        if name not in families:
            raise _Unknown("family", name, families)
        refs[name] = None
        return groups_relation(name)

    def var(name: str, default: Any = None) -> Any:
        if name not in variables and default is None:
            raise _Unknown("variable", name, variables)
        return variables.get(name, default)

    environment = _Environment(environ)

    def env_var(name: str, default: str | None = None) -> str:
        if name in environ:
            return environment.placeholder(name)
        if default is None:
            raise _Unknown("environment variable", name, filter(None, [nearest(name, environ)]))
        return default

    jinja = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=_checked)
    try:
        text = jinja.from_string(template).render(source=source, ref=ref, var=var, env_var=env_var, target=target)
    except TemplateSyntaxError as error:
        raise SqlTemplateError(error.message or "syntax error", error.lineno) from error
    except Exception as error:  # a template can raise whatever its filters and methods raise
        said = environment.referenced(str(error) or type(error).__name__).replace("render_sql.<locals>.", "")
        said, line = " ".join(said.split()), _template_line(error)
        if isinstance(error, _Unknown):
            named = {error.kind: error.name} if error.kind in ("source", "family") else {}
            raise SqlTemplateError(said, line, word=error.name, help=error.help, **named) from error
        undefined = re.fullmatch(r"'(\w+)' is undefined", said)
        if undefined:
            name = undefined[1]
            raise SqlTemplateError(
                f"`{name}` is not known", line, word=name, help=did_you_mean(name, _KNOWN)
            ) from error
        raise SqlTemplateError(said, line) from error
    text = environment.referenced(text)
    if _OPEN in text or _CLOSE in text:
        raise SqlTemplateError("a value of env_var() can be compared and written, not changed", None)
    return RenderedSql(text.strip(), tuple(read), tuple(refs))


class _Unknown(TemplateError):
    """A template names something that is not known."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name = kind, name
        self.help = did_you_mean(name, list(known))
        super().__init__(f"unknown {kind} `{name}`")


def _checked(value: Any) -> Any:
    if callable(value) and not isinstance(value, Undefined):
        name = getattr(value, "__name__", "it")
        raise TemplateError(f"`{name}` must be called: {name}('…')")
    return value


def _template_line(error: BaseException) -> int | None:
    """Return the line of the template that raised, which Jinja keeps in the traceback only."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
