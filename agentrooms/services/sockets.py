"""Where a Unix socket goes: beside its data when the path is short enough, else below the system's /tmp."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from agentrooms.errors import AgentroomsError

PATH_BYTES_MAX = 100  # the address of a Unix socket holds 104 bytes on macOS, 108 on Linux
SHORT = Path("/tmp")  # noqa: S108 -- the one folder that is short everywhere; ours in it is private


class SocketFolderTaken(AgentroomsError):
    """The private folder for a socket exists and belongs to somebody else."""


def socket_folder(folder: Path, name: str) -> Path:
    """Returns the folder for a socket `name` that belongs to `folder`; the folder exists and is private.

    Raises:
        SocketFolderTaken: another user made the short folder before us.
    """
    folder = folder.resolve()
    if len(os.fsencode(folder / name)) <= PATH_BYTES_MAX:
        return folder
    short = SHORT / f"agentrooms-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not private or (os.geteuid() not in {0, found.st_uid}):
        raise SocketFolderTaken(
            f"{short} belongs to another user", hint=f"remove {short}, or use a shorter data folder"
        )
    return short
