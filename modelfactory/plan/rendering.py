"""Render the Jinja of `sql` to Spark SQL; the only place that uses Jinja."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from modelfactory.diagnostics import did_you_mean


class SqlTemplateError(Exception):
    """The template cannot be rendered.

    Attributes:
        line: line inside the template, from 1, if known.
    """

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class RenderedSql:
    """SQL and the names of the sources it reads, in order of their first mention."""

    text: str
    sources: tuple[str, ...]


class EnvironmentValue(str):
    """A value of the environment inside a template: compares as itself, prints as a reference to it."""

    name: str

    def __new__(cls, name: str, value: str) -> EnvironmentValue:
        """Wrap the value of variable `name`."""
        made = super().__new__(cls, value)
        made.name = name
        return made

    def __str__(self) -> str:
        return f"${{env:{self.name}}}"


def render_sql(
    template: str,
    *,
    relations: Mapping[str, str],
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
        variables: what `var()` knows.
        environ: what `env_var()` knows.
        target: name of the target.

    Raises:
        SqlTemplateError: bad Jinja, or a name that is not known.
    """
    read: dict[str, None] = {}

    def source(name: str) -> str:
        if name not in relations:
            raise _Unknown("source", name, relations)
        read[name] = None
        return relations[name]

    def var(name: str, default: Any = None) -> Any:
        if name not in variables and default is None:
            raise _Unknown("variable", name, variables)
        return variables.get(name, default)

    def env_var(name: str, default: str | None = None) -> str:
        if name in environ:
            return EnvironmentValue(name, environ[name])
        if default is None:
            raise _Unknown("environment variable", name, ())
        return default

    jinja = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=_plain)
    try:
        text = jinja.from_string(template).render(source=source, var=var, env_var=env_var, target=target)
    except TemplateSyntaxError as error:
        raise SqlTemplateError(error.message or "syntax error", error.lineno) from error
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise SqlTemplateError(str(error), _template_line(error)) from error
    return RenderedSql(text.strip(), tuple(read))


class _Unknown(TemplateError):
    """A template names something that is not known."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        hint = did_you_mean(name, list(known))
        super().__init__(f"unknown {kind} `{name}`" + (f"; {hint}" if hint else ""))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, EnvironmentValue) else value


def _template_line(error: BaseException) -> int | None:
    """Return the line of the template that raised, which Jinja keeps in the traceback only."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
