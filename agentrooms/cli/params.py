"""Values of the command line: how they are read, and how a wrong one is explained."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

SEED_MAX = 2**63 - 1
FRESH_SEED_BELOW = 1_000_000_000  # nine digits can be typed again

_HASH = re.compile(r"[0-9a-f]{64}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_SUGGESTION = re.compile(r"\.? (?:Did you mean (.+)\?|\(Possible options: (.+)\))$")


class Misuse(typer.BadParameter):
    """A value that cannot be read, with what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def whole(least: int, most: int, hint: str = "") -> Callable[[str | int], int]:
    """Returns a reader of whole numbers within bounds."""

    def read(value: str | int) -> int:
        text = str(value).strip().replace("_", "")
        if _WHOLE.fullmatch(text) is None:
            raise Misuse(f"{value!r} is not a whole number", hint or f"write one from {least} to {most}")
        if not least <= int(text) <= most:
            raise Misuse(f"{text} is not within {least} to {most}", hint)
        return int(text)

    return read


def factor(least: float, most: float) -> Callable[[str | float], float]:
    """Returns a reader of plain decimal numbers within bounds."""

    def read(value: str | float) -> float:
        text = str(value).strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) is None:
            raise Misuse(f"{value!r} is not a number", f"write one from {least:g} to {most:g}, such as 2 or 0.5")
        if not least <= float(text) <= most:
            raise Misuse(f"{text} is not within {least:g} to {most:g}")
        return float(text)

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Returns a reader of fixed words."""

    def read(value: str) -> str:
        if value not in words:
            raise Misuse(f"{value!r} is not known", meant(value, words))
        return value

    return read


def meant(value: str, words: tuple[str, ...] | list[str]) -> str:
    """Returns a hint with the nearest word, or with all of them."""
    close = difflib.get_close_matches(value, words, n=1)
    return f"did you mean {close[0]}?" if close else f"one of {', '.join(words)}"


def run_folder(value: str | Path) -> Path:
    """Reads the folder of an archive that exists."""
    folder = Path(value)
    if not folder.exists():
        raise Misuse(f"{value} does not exist", f"make it with `agentrooms swarm run small_test --out {value}`")
    if not folder.is_dir():
        raise Misuse(f"{value} is not a folder", "name the folder that holds events.ndjson")
    return folder


def new_folder(value: str | Path) -> Path:
    """Reads where an archive or export shall go."""
    if not str(value).strip():
        raise Misuse("the folder's name is empty", "name a new folder, such as runs/a")
    return Path(value)


def head_hash(value: str) -> str:
    """Reads the hash that stands for where all chains of a run end."""
    text = value.strip().lower()
    if _HASH.fullmatch(text) is None:
        raise Misuse(f"{value!r} is not a head", "a head is 64 hexadecimal digits, as `agentrooms swarm run` prints it")
    return text


def preset_name(value: str) -> str:
    """Reads the name of a swarm's preset."""
    from agentrooms.sim.settings import PRESETS

    if value not in PRESETS:
        names = ", ".join(PRESETS)
        close = difflib.get_close_matches(value, PRESETS, n=1)
        near = f"did you mean {close[0]}? " if close else ""
        raise Misuse(f"{value!r} is not a preset", f"{near}presets are {names}; or --buyers N --sellers M")
    return value


def side_size(value: str | int) -> int:
    """Reads how many buyers or sellers a swarm has."""
    from agentrooms.sim.settings import SIDE_MAX

    return whole(1, SIDE_MAX)(value)


def exchange_rate(value: str | int) -> int:
    """Reads how many USDC one ether of the sales data is."""
    from agentrooms.sim.settings import USDC_PER_ETH_MAX

    return whole(1, USDC_PER_ETH_MAX)(value)


def pace(value: str) -> str:
    """Reads how many times room time a live room runs; 0 stands for as fast as it goes."""
    speeds = {"1": "1", "1x": "1", "10": "10", "10x": "10", "max": "0"}
    if value not in speeds:
        raise Misuse(f"{value!r} is not a speed", "speeds are 1, 10 and max")
    return speeds[value]


def per_actor(value: str | int) -> str:
    """Reads how many agents share an actor; "" stands for auto."""
    from agentrooms.services.settings import AGENTS_PER_ACTOR_MAX

    if value == "auto":
        return ""
    return str(whole(1, AGENTS_PER_ACTOR_MAX, "1 gives each agent a process of its own; or auto")(value))


class Runtime(StrEnum):
    """What hosts the actors of a run."""

    LOCAL = "local"
    RAY = "ray"


class RunChain(StrEnum):
    """What a run's deals settle on."""

    LEDGER = "ledger"
    DEVNET = "devnet"
    ANVIL = "anvil"


class Store(StrEnum):
    """What keeps the log of a run."""

    MEMORY = "memory"
    POSTGRES = "postgres"


def fresh_seed() -> int:
    """Returns a seed nobody has chosen."""
    return secrets.randbelow(FRESH_SEED_BELOW)


Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The run's folder, made by `swarm run` or `fork`.", parser=run_folder)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="What all draws depend on; a new one each time when left out.",
        parser=whole(0, SEED_MAX, "a seed is a whole number such as 7"),
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.", parser=new_folder)]


def explain(error: Any) -> tuple[str, str]:  # noqa: ANN401 - Typer's own type is private
    """Returns Typer's complaint as one line and a hint."""
    ctx = getattr(error, "ctx", None)
    command = str(ctx.command_path) if ctx is not None else "agentrooms"
    hint = (error.hint if isinstance(error, Misuse) else "") or f"`{command} --help` shows how"
    param = getattr(error, "param", None)
    message = error.message if isinstance(error, Misuse) else str(error.format_message()).strip()
    if param is not None and str(error.message):
        return f"{_named(param)}: {error.message}", hint
    if param is not None:
        return f"{_named(param)} is missing", hint
    found = _SUGGESTION.search(message)
    if found is not None:
        words = (found[1] or found[2]).replace("'", "")
        message, hint = message[: found.start()], f"did you mean {words.replace(', ', ' or ')}?"
    return message[:1].lower() + message[1:].rstrip("."), hint


def _named(param: Any) -> str:  # noqa: ANN401 - the same
    options = [name for name in param.opts if name.startswith("-")]
    return str(options[0] if options else param.metavar or param.name)
