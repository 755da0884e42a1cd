"""The shapes of parameters that Mainsail takes: exact counts, exact keys, hex in its one form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from agentrooms.errors import InvalidInput

QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
DATA = re.compile(r"0x([0-9a-fA-F]{2})*")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
HASH = re.compile(r"0x[0-9a-fA-F]{64}")
TAGS = frozenset({"latest", "finalized", "safe"})  # no `pending`
SHOWN = 60  # characters of a bad value in the message

Check = Callable[[object], object]
T = TypeVar("T")


class InvalidParams(InvalidInput):
    """Parameters that the method does not take."""


def params(given: list[object], checks: tuple[Check, ...]) -> list[object]:
    """Returns the parameters read, one for each check. Raises InvalidParams."""
    if len(given) != len(checks):
        raise InvalidParams(f"the method takes exactly {len(checks)} parameters, not {len(given)}")
    return [check(value) for check, value in zip(checks, given, strict=True)]


def quantity(value: object) -> int:
    return int(_text(value, QUANTITY, "a quantity, such as 0x1f"), 16)


def data(value: object) -> bytes:
    return bytes.fromhex(_text(value, DATA, "data, in 0x and pairs of hex digits")[2:])


def address(value: object) -> str:
    return _text(value, ADDRESS, "an address").lower()


def hash32(value: object) -> str:
    return _text(value, HASH, "a hash of 32 bytes").lower()


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidParams(f"not true or false: {_shown(value)}")
    return value


def milliseconds(value: object) -> int:
    """A time as a JSON number; only the devnet's own methods take one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise InvalidParams(f"not a time in milliseconds: {_shown(value)}")
    return value


def tag(value: object) -> str:
    """A name only, for what is known at the head alone."""
    if not isinstance(value, str) or value not in TAGS:
        raise InvalidParams(f"not one of {', '.join(sorted(TAGS))}: {_shown(value)}")
    return value


def tag_or_number(value: object) -> str | int:
    """A name, or the number of a block."""
    return quantity(value) if isinstance(value, str) and value not in TAGS else tag(value)


def block_number(value: object) -> str | int:
    """Which block: a name, `earliest` among them, or a number."""
    return 0 if value == "earliest" else tag_or_number(value)


def message(*required: str) -> Callable[[object], Mapping[str, object]]:
    """Returns the check of a message's object: these keys at least, known keys at most."""
    checks: dict[str, Check] = {
        "data": data,
        "from": address,
        "gas": quantity,
        "gasPrice": quantity,
        "to": address,
        "value": quantity,
    }

    def check(value: object) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise InvalidParams(f"not an object: {_shown(value)}")
        strange, missing = value.keys() - checks.keys(), set(required) - value.keys()
        if strange or missing:
            raise InvalidParams(f"a message has no {_shown(sorted(strange))} and needs {_shown(sorted(missing))}")
        return {key: checks[key](found) for key, found in value.items()}

    return check


def _text(value: object, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise InvalidParams(f"not {what}: {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return ascii(value)[:SHOWN]
