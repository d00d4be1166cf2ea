"""The terminal: Typer commands, the console, exit codes."""
