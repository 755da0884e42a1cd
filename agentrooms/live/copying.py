"""The files of an installation that belong to its database, copied whether its system runs or not.

They are the devnet's blocks, the note which chain was chosen, and where the demo is.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing, suppress
from pathlib import Path

from agentrooms.chain.port import ChainError
from agentrooms.chain.spec import ChainMode
from agentrooms.live.access import running_in
from agentrooms.live.chain import CHAIN, CHOSEN, ENGINES, Chosen, chosen
from agentrooms.live.demo import KEPT
from agentrooms.services.folder import DataFolder


def copy_files(folder: DataFolder, into: Path) -> None:
    """Puts copies of the files into an empty folder, where they lie as in the data folder.

    The data folder is this process's, or that of a running system, which goes on. To be called when the database has
    been copied: a chain that is ahead of its log is asked what it has executed, one that is behind has lost it.

    Raises:
        NotRunning: the system is just starting or ending.
        ChainError: the running devnet does not answer, or cannot be copied.
        EngineError: the devnet of a system at rest cannot be copied.
    """
    for name in (CHOSEN, KEPT):
        with suppress(FileNotFoundError):
            shutil.copyfile(folder.path / name, into / name)
    note = chosen(folder)
    if note is None or note.mode not in ENGINES or not (folder.path / CHAIN).is_dir():
        return
    file = Path(CHAIN, ENGINES[note.mode])
    (into / CHAIN).mkdir()
    owner = folder.owner()
    if owner is None or owner.pid == os.getpid():
        _copy_at_rest(note, folder.path / file, into / file)
    else:
        _copy_running(running_in(folder).chain_url, into / file)


def _copy_at_rest(note: Chosen, file: Path, to: Path) -> None:
    from agentrooms.chain.devnet.anvil import Anvil  # noqa: PLC0415 - half a second, and not every chain has an EVM
    from agentrooms.chain.devnet.engine import Genesis  # noqa: PLC0415 - see above
    from agentrooms.chain.devnet.pyevm import PyEvm  # noqa: PLC0415 - see above

    kind = Anvil if note.mode is ChainMode.ANVIL else PyEvm
    with closing(kind(file, Genesis(chain_id=note.site.chain_id))) as engine:
        engine.copy(to)


def _copy_running(url: str, to: Path) -> None:
    """Asks the devnet for a copy, which it puts beside its own file, and takes it from there."""
    from agentrooms.chain.evm.rpc import Rpc  # noqa: PLC0415 - see _copy_at_rest

    with closing(Rpc(url)) as rpc:
        made = Path(rpc.call("devnet_copy"))
    try:
        shutil.copyfile(made, to)
        made.unlink()
    except OSError as error:
        raise ChainError(
            f"the devnet's copy {made} cannot be taken: {error}",
            hint="try again when no other backup is made, and look whether the disk is full",
        ) from error
