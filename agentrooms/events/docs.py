"""Writes docs/events.md: `python -m agentrooms.events.docs > docs/events.md`.

All of it comes from the catalogue and the event types; the examples from the fixed values below.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from msgspec import inspect

from agentrooms.domain.deal import DealLocked, Terms, deal_hash
from agentrooms.domain.event import Event
from agentrooms.domain.user import user_id
from agentrooms.events.catalogue import CATALOGUE, EventType, Origin
from agentrooms.events.record import PLATFORM, encode_line
from agentrooms.events.tags import tags_of

ROOM_MODULES = {"agent", "deal", "room"}  # of agentrooms.domain; events of the others belong to no room

_HEAD = """\
# Events

Every event type of the log, with its fields and one example line. This page is generated from the code
(`python -m agentrooms.events.docs > docs/events.md`); a test compares the two. How lines, chains, tags and conditions work
stands in [architecture.md](architecture.md#the-event-log); how to add a type, in
[add an event](how-to/add-an-event.md).

- **Input** events came from outside the deciders (a command, a chain's verdict, a signature). **Derived** events follow from
  inputs and are recomputed by re-execution; their *input fields*, if any, came from outside.
- A **private** event is for the owners of the agents it is about; others are to see its number, not its body.
- Names and versions are storage format: they are never renamed or reused.
- Amounts are micro-USDC (millionths of a USDC), times milliseconds, rounds count from the opening of the room.
- An optional field may be `null`. The examples are made up of fixed values; lists in them are shortened to one element,
  signatures and hashes are not real.

| tag | on events about |
|---|---|
| `room:<room>` or `platform` | the chain they stand in; every event has one of the two |
| `agent:<agent>` | one agent; on deals, both |
| `deal:<deal>` | one deal |
| `nft:<collection>/<token id>` | one item, across rooms |
| `wallet:<address>` | one wallet, across rooms |
| `collection:<address>`, `swarm:<swarm>`, `verifiers` | one of these |

In the store every event also carries `cmd:<command>`, by which the effect of a command is found again; it is not among the
tags of the line, which holds the command anyway.
"""

_ROOM = "room_zb4l2kq7x3fma"
_BUYER, _SELLER = "agent_c7dq2m5xk4rwe", "agent_o3yt6h2v5nlpa"
_COLLECTION = "0xb47e3cd837ddf8e4c57f05d70ab865de6e193bbb"
_BUYER_WALLET, _SELLER_WALLET = "0x" + "b1" * 20, "0x" + "5e" * 20
_HASH, _SIGNATURE, _KEY = "9f" * 32, "c4" * 64, "7a" * 32
_STARTED_AT_MS, _ROUND_MS, _ROUND = 1_609_459_200_000, 1_000, 42
_ITEM = {"name": "Punk #7804", "token_id": "7804", "traits": {"grade": "common"}}

EXAMPLES: dict[str, Any] = {
    "agent": _BUYER,
    "address": "0x" + "ad" * 20,
    "address_proof": _SIGNATURE + "1b",
    "amount_gwei": 1_000_000_000,
    "allowance_usdc_micros": 90_000_000_000,
    "approval": "",
    "at_fault": (_BUYER,),
    "at_ms": _STARTED_AT_MS + _ROUND * _ROUND_MS,
    "attestation": _SIGNATURE + "1c",
    "avatar": "🦊",
    "balance_usdc_micros": 90_000_000_000,
    "base_grade": "common",
    "block": 3,
    "block_hash": _HASH,
    "budget_usdc_micros": 90_000_000_000,
    "buyer": _BUYER,
    "buyer_mandate": _HASH,
    "buyer_wallet": _BUYER_WALLET,
    "buyers": 5,
    "chain_id": 31_337_000,
    "collection": _COLLECTION,
    "comparable_by": "grade",
    "currency": "0x" + "dc" * 20,
    "deadline_ms": _STARTED_AT_MS + _ROUND * _ROUND_MS + 60_000,
    "deal": "deal_q5w2e7r4t6yua",
    "deal_hash": _HASH,
    "deals_completed": 3,
    "detail": "balance_too_low",
    "escrow": "0x" + "e5" * 20,
    "identity": _SIGNATURE,
    "item": _ITEM,
    "logs": (),
    "mandate_hash": _HASH,
    "name": "Noor Fox",
    "owner": _BUYER_WALLET,
    "permit": "",
    "preset": "balanced_market",
    "price_usdc_micros": 8_940_500_000,
    "public_key": _KEY,
    "public_key_proof": _SIGNATURE,
    "quote": "quote_c7dq2m5xk4rwe_42",
    "quote_rounds": 60,
    "refers_to": "quote_o3yt6h2v5nlpa_37",
    "room": _ROOM,
    "round": _ROUND,
    "round_ms": _ROUND_MS,
    "seller": _SELLER,
    "seller_mandate": "1d" * 32,
    "seller_wallet": _SELLER_WALLET,
    "sellers": 5,
    "session": _SIGNATURE + "1b",
    "set_version": 1,
    "signature": _SIGNATURE,
    "speed": 10,
    "started_at_ms": _STARTED_AT_MS,
    "succeeded": True,
    "swarm": "swarm_m4k7j2h5g3fda",
    "text": "Make it 8,940.50 USDC for Punk #7804 and we can talk.",
    "to": _SELLER,
    "token_id": "7804",
    "tx_hash": "0x" + _HASH,
    "user": "user_t6r3e5w2q7yla",
    "verifier": "verifier_1",
    "version": 1,
    "wallet": _BUYER_WALLET,
    "wording": "scripted",
    # Where one field name means different things, the event's or struct's name goes before it.
    "ActPosted.act": "counter",
    "ActsExplained.reasons": {_BUYER: {"best": 9_120_000_000, "price": 8_940_500_000, "rule": "linear_concession"}},
    "AgentLeft.reason": "bought_nft",
    "AgentReconfigured.strategy": "patient",
    "AgentSpawned.item": None,
    "Annex.reasons": (),
    "CollectionRegistered.name": "CryptoPunks",
    "LedgerMinted.owner": _SELLER_WALLET,
    "Misbehaviour.kind": "equivocation",
    "PersonSpoke.text": "Is anybody selling a zombie?",
    "PersonSpoke.user": user_id(_BUYER_WALLET),
    "Receipt.reason": "",
    "RoomClosed.reason": "all_agents_left",
    "RoomOpened.name": "CryptoPunks floor",
    "Terms.quote": "quote_o3yt6h2v5nlpa_37",
    "Verifier.id": "verifier_1",
    "Wants.token_ids": (),
    "Wants.traits": {},
}
"""A value for each field by its name; a field that is not here gets a plain value of its type."""


def page() -> str:
    """Returns the whole page."""
    return "\n".join([_HEAD, _overview(), *map(_section, CATALOGUE), _structs()])


def example(entry: EventType) -> Event:
    """Returns an event of the type, made of fixed values."""
    event = _value(inspect.type_info(entry.type), "", "")
    if isinstance(event, DealLocked):
        event = DealLocked(deal_hash(event.terms), event.round, event.terms)
    assert isinstance(event, Event)
    return event


def example_line(entry: EventType) -> bytes:
    """Returns the line that the example would be stored as."""
    event = example(entry)
    in_room = _is_of_room(entry)
    chain = _ROOM if in_room else PLATFORM
    terms = _terms() if hasattr(event, "deal") else None
    return encode_line(
        event,
        chain=chain,
        seq=7,
        at_ms=EXAMPLES["at_ms"] if in_room else _STARTED_AT_MS,
        cmd=f"round:{_ROOM}:{_ROUND}" if in_room else "genesis",
        tags=tags_of(event, chain, terms),
        prev=_HASH,
    )


def _overview() -> str:
    rows = ["| type | version | origin | in | meaning |", "|---|---|---|---|---|"]
    for entry in CATALOGUE:
        where = "room" if _is_of_room(entry) else "platform"
        link = entry.name.replace(".", "")
        rows.append(
            f"| [`{entry.name}`](#{link}) | {entry.version} | {entry.origin} | {where} | {_first(entry.type)} |"
        )
    return "\n".join([*rows, ""])


def _section(entry: EventType) -> str:
    facts = [f"version {entry.version}", entry.origin.value, f"in {_chain_in_words(entry)}"]
    if entry.input_fields:
        assert entry.origin is Origin.DERIVED
        facts.append("input fields " + ", ".join(f"`{name}`" for name in entry.input_fields))
    if entry.input_reasons:
        facts.append("input when its reason is " + " or ".join(f"`{reason}`" for reason in entry.input_reasons))
    if entry.private:
        facts.append("private")
    line = example_line(entry)
    tags = msgspec.json.decode(line)["tags"]
    kinds = dict.fromkeys(tag.split(":", 1)[0] for tag in tags)
    return "\n".join(
        [
            f"## {entry.name}",
            "",
            _meaning(entry.type),
            "",
            f"{'; '.join(facts)}. Tags: {', '.join(f'`{kind}`' for kind in kinds)}.",
            "",
            *_fields(entry.type),
            "```json",
            line.decode(),
            "```",
            "",
        ]
    )


def _structs() -> str:
    """Returns the sections of the structs that events hold."""
    found: dict[str, type] = {}
    for entry in CATALOGUE:
        _collect(inspect.type_info(entry.type), found)
    for entry in CATALOGUE:
        found.pop(entry.type.__name__, None)
    parts = ["# Values within events", ""]
    for name in sorted(found):
        parts += [f"## {name}", "", _meaning(found[name]), "", *_fields(found[name])]
    return "\n".join(parts)


def _collect(kind: inspect.Type, found: dict[str, type]) -> None:
    for part in _parts(kind):
        _collect(part, found)
    if isinstance(kind, inspect.StructType) and kind.cls.__name__ not in found:
        found[kind.cls.__name__] = kind.cls
        for field in kind.fields:
            _collect(field.type, found)


def _fields(of: type) -> list[str]:
    info = inspect.type_info(of)
    assert isinstance(info, inspect.StructType)
    rows = [f"| `{field.encode_name}` | {_type_in_words(field.type)} |" for field in _sorted(info)]
    return ["| field | type |", "|---|---|", *rows, ""]


def _type_in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.UnionType():
            known = [_type_in_words(part) for part in kind.types if not isinstance(part, inspect.NoneType)]
            optional = "optional " if kind.includes_none else ""
            return optional + " or ".join(sorted(known))
        case inspect.EnumType():
            return "one of " + ", ".join(f"`{member.value}`" for member in kind.cls)
        case inspect.StructType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
        case inspect.VarTupleType():
            return f"list of {_type_in_words(kind.item_type)}"
        case inspect.DictType():
            return f"map from {_type_in_words(kind.key_type)} to {_type_in_words(kind.value_type)}"
        case inspect.StrType():
            return "text"
        case inspect.IntType():
            return "integer"
        case inspect.BoolType():
            return "true or false"
    raise AssertionError(f"no words for {kind}")


def _parts(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    match kind:
        case inspect.UnionType():
            return kind.types
        case inspect.VarTupleType():
            return (kind.item_type,)
        case inspect.DictType():
            return (kind.key_type, kind.value_type)
    return ()


def _value(kind: inspect.Type, owner: str, name: str) -> object:
    """Returns the example value of a field, the one set for it or a plain one of its type."""
    chosen = EXAMPLES.get(f"{owner}.{name}", EXAMPLES.get(name, _value))
    if isinstance(kind, inspect.StructType):
        if chosen is not _value:
            return msgspec.convert(chosen, kind.cls)
        return kind.cls(**{field.name: _value(field.type, kind.cls.__name__, field.name) for field in kind.fields})
    if isinstance(kind, inspect.UnionType):
        if chosen is None:
            return None
        return _value(next(part for part in kind.types if not isinstance(part, inspect.NoneType)), owner, name)
    if isinstance(kind, inspect.EnumType):
        return next(iter(kind.cls)) if chosen is _value else kind.cls(chosen)
    if chosen is not _value:
        return chosen
    match kind:
        case inspect.VarTupleType():
            return (_value(kind.item_type, owner, ""),)
        case inspect.DictType():
            return {}
        case inspect.IntType():
            return 1
        case inspect.BoolType():
            return True
    return name


def _terms() -> Terms:
    terms = _value(inspect.type_info(Terms), "", "")
    assert isinstance(terms, Terms)
    return terms


def _sorted(info: inspect.StructType) -> list[inspect.Field]:
    return sorted(info.fields, key=lambda field: field.encode_name)


def _is_of_room(entry: EventType) -> bool:
    return entry.type.__module__.rsplit(".", 1)[-1] in ROOM_MODULES


def _chain_in_words(entry: EventType) -> str:
    return "its room's chain" if _is_of_room(entry) else "the platform chain"


def _first(of: type) -> str:
    return _meaning(of).split(". ", 1)[0].rstrip(".") + "."


def _meaning(of: type) -> str:
    """Returns a class's docstring with its lines joined."""
    assert of.__doc__, f"{of.__name__} has no docstring"
    return " ".join(of.__doc__.split())


if __name__ == "__main__":
    sys.stdout.write(page())
