"""Where an archive or an export shall go: found out before the work is done, not after it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agentrooms.errors import InvalidInput

DRAFT = ".agentrooms-"  # what is not whole yet has a name that begins so


def require_free(folder: Path) -> None:
    """Raises InvalidInput unless `folder` can be made, or is empty and can be written."""
    require_writable(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput(f"{folder} exists and is not empty", hint="choose another folder, or remove this one")


def require_writable(folder: Path) -> None:
    """Raises InvalidInput when `folder` is a file, or neither it nor the nearest folder above can be written."""
    try:
        place = folder.resolve()
        nearest = next(here for here in (place, *place.parents) if here.exists())
        if not nearest.is_dir():
            raise InvalidInput(f"{nearest} is not a folder", hint="choose a place that is one, or does not exist yet")
        Path(tempfile.mkdtemp(prefix=DRAFT, dir=nearest)).rmdir()
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidInput(f"{folder} cannot be written: {why}", hint="choose a folder that can") from error


def write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes a new folder at once, or fills an empty one file by file, in the order given; or leaves nothing.

    An empty folder stays the one it was: it may be somebody's working directory, or a mount.
    """
    folder = folder.resolve()
    exists = folder.is_dir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=folder if exists else folder.parent))
    moved: list[Path] = []
    try:
        for name, data in files.items():
            (draft / name).write_bytes(data)
        draft.chmod(0o755)
        if exists:
            for name in files:
                (draft / name).replace(folder / name)
                moved.append(folder / name)
            draft.rmdir()
        else:
            draft.replace(folder)
    except BaseException:  # also on Ctrl-C: no half archive stays
        shutil.rmtree(draft, ignore_errors=True)
        for file in moved:
            file.unlink(missing_ok=True)
        raise
