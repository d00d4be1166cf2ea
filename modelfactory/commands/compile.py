"""`mf compile`: write the plan as text, JSON and SQL."""

from __future__ import annotations

import json

from modelfactory.commands.workspace import Workspace
from modelfactory.plan.fingerprint import plain
from modelfactory.plan.text import plan_text
from modelfactory.store.local import replace_file


def write_compiled(workspace: Workspace) -> str:
    """Write `target/compiled/<family>.json` and `.sql` for every step and return the plan's text."""
    folder = workspace.project.root / "target" / "compiled"
    folder.mkdir(parents=True, exist_ok=True)
    for step in workspace.plan.steps:
        document = json.dumps({"schema": 1, **plain(step), "query": step.query}, indent=1)
        replace_file(folder / f"{step.family}.json", document + "\n")
        replace_file(folder / f"{step.family}.sql", step.query + "\n")
    return plan_text(workspace.plan)
