"""Examples below a command's help."""

from __future__ import annotations

from rich.markup import escape


def examples(*lines: str) -> str:
    """Returns the examples as an epilogue, one below the other."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  [cyan]{escape(line)}[/cyan]" for line in lines)])
