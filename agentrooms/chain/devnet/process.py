"""The devnet's server as a child process."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agentrooms.chain.devnet.engine import EngineUnusable
from agentrooms.chain.devnet.server import Ready
from agentrooms.services.child import Child, ChildUnusable


class DevnetProcess(Child):
    """A running server; `options` are those of the command line, such as `"--mode", "command"`.

    What the server says goes to `log`. It listens when the constructor returns.

    Raises:
        EngineUnusable: it does not start; the message is what it said.
    """

    def __init__(self, log: Path, *options: str) -> None:
        try:
            super().__init__("agentrooms.chain.devnet.server", log, "--with-parent", *options)
        except ChildUnusable as error:
            raise EngineUnusable(str(error)) from error
        self.devnet = msgspec.json.decode(self.ready, type=Ready)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.devnet.url
