"""Where the chain of a run is kept while it runs, so that its process may die: a file on the head's own disk."""

from __future__ import annotations

import tempfile
from pathlib import Path


def chain_file(name: str) -> Path:
    """Returns the file of a run that is named by its log's schema, or by its actors' scope."""
    return Path(tempfile.gettempdir()) / f"agentrooms-{name}.chain"


def forget_chain(name: str) -> None:
    """Removes the chain of a run that has ended, or begins anew."""
    file = chain_file(name)
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink(missing_ok=True)
