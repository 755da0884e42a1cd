"""Calls and answers in bytes, from a contract's ABI. Types are parsed once a function, not once a call."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode, encode

from agentrooms.domain.eip712 import keccak

Abi = list[dict[str, Any]]
FUNCTIONS_MAX = 1_000  # whose types are kept written out
SELECTOR_BYTES = 4


class _Function:
    """One function of a contract: its selector, and its types as they are written."""

    def __init__(self, abi: Abi, name: str, args: int | None) -> None:
        self.abi = abi  # kept, so that its id stays its own
        entry = _entry(abi, "function", name, args)
        self.inputs = [type_of(part) for part in entry["inputs"]]
        self.outputs = [type_of(part) for part in entry["outputs"]]
        self.selector = keccak(f"{name}({','.join(self.inputs)})".encode())[:SELECTOR_BYTES]


_functions: dict[tuple[int, str, int | None], _Function] = {}


def type_of(component: dict[str, Any]) -> str:
    """Returns a component's canonical type, structs as their members in brackets."""
    kind = str(component["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(type_of(part) for part in component['components'])}){kind.removeprefix('tuple')}"


def selector(abi: Abi, name: str, args: int | None = None) -> bytes:
    """Returns the four bytes a function is called by."""
    return _function(abi, name, args).selector


def call_data(abi: Abi, name: str, *args: Any) -> bytes:  # noqa: ANN401 - values of the ABI
    """Returns the data of a call; overloads are told apart by their number of arguments."""
    function = _function(abi, name, len(args))
    return function.selector + encode(function.inputs, args)


def arguments(abi: Abi, name: str, data: bytes) -> tuple[Any, ...]:
    """Returns what a function was called with. Raises DecodingError of eth_abi for data that is none."""
    return decode(_function(abi, name, None).inputs, data[SELECTOR_BYTES:])


def answer(abi: Abi, name: str, data: bytes, args: int | None = None) -> Any:  # noqa: ANN401 - see call_data
    """Returns what a function answered: one value, or a tuple of several."""
    values = decode(_function(abi, name, args).outputs, data)
    return values[0] if len(values) == 1 else values


def constructor_data(abi: Abi, *args: Any) -> bytes:  # noqa: ANN401 - see call_data
    """Returns the constructor's arguments, which follow the initcode."""
    entry: dict[str, Any] = next((part for part in abi if part["type"] == "constructor"), {"inputs": []})
    return encode([type_of(part) for part in entry["inputs"]], args)


def event(abi: Abi, name: str, topics: tuple[str, ...], data: str) -> dict[str, Any]:
    """Returns an emitted event's fields by name."""
    entry = _entry(abi, "event", name, None)
    signature = f"{name}({','.join(type_of(part) for part in entry['inputs'])})"
    assert topics[0] == "0x" + keccak(signature.encode()).hex(), "another event"
    indexed = [part for part in entry["inputs"] if part["indexed"]]
    plain = [part for part in entry["inputs"] if not part["indexed"]]
    known = {
        part["name"]: decode([type_of(part)], bytes.fromhex(topic[2:]))[0]
        for part, topic in zip(indexed, topics[1:], strict=True)
    }
    values = decode([type_of(part) for part in plain], bytes.fromhex(data[2:]))
    return known | dict(zip((part["name"] for part in plain), values, strict=True))


def _function(abi: Abi, name: str, args: int | None) -> _Function:
    key = (id(abi), name, args)
    found = _functions.get(key)
    if found is None or found.abi is not abi:
        while len(_functions) >= FUNCTIONS_MAX:
            del _functions[next(iter(_functions))]
        found = _functions[key] = _Function(abi, name, args)
    return found


def _entry(abi: Abi, kind: str, name: str, args: int | None) -> dict[str, Any]:
    return next(
        part
        for part in abi
        if part["type"] == kind and part["name"] == name and (args is None or len(part["inputs"]) == args)
    )
