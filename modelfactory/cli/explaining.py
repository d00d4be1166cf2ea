"""Commands that explain: explain."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from modelfactory.cli.running import Invocation, command
from modelfactory.diagnostics import Code, input_error, nearest

_WIDTH = 88


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, project=False, panel="Write and check")(explain)


def explain(
    call: Invocation,
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A code such as MF203; all codes with their titles if none.")
    ] = None,
) -> None:
    """Say what the code of an error or warning means, with a wrong and a right example."""
    from modelfactory.explanations import EXPLANATIONS

    if code is None:
        call.console.lines(f"{known}  {explanation.title}" for known, explanation in EXPLANATIONS.items())
        return
    codes = [str(known) for known in Code]
    wanted = code.strip().upper()
    if wanted not in codes:
        near = nearest(wanted, codes)
        hint = f"did you mean `{near}`?" if near else "`mf explain` lists all codes"
        raise input_error(Code.BAD_OPTION, f"there is no code `{code}`", help=hint)
    call.console.data(explanation_text(Code(wanted)))


def explanation_text(code: Code) -> str:
    """Write all there is to say of a code."""
    from modelfactory.explanations import EXPLANATIONS

    found = EXPLANATIONS[code]
    parts = [f"{code}: {found.title}", textwrap.fill(found.text, _WIDTH, break_on_hyphens=False)]
    for title, example in (("Wrong", found.wrong), ("Right", found.right)):
        if example:
            parts.append(f"{title}:\n\n{textwrap.indent(example.rstrip(), '    ')}")
    return "\n\n".join(parts)
