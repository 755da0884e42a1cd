"""Judges a log from its stored JSON alone, sharing no code with what wrote it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

GENESIS = "0" * 64


class Violation(AssertionError):
    """The log holds what must never happen."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Violation(what)


def check(lines: Iterable[bytes]) -> None:
    """Raises Violation unless chains link, commands have one effect, and locks share and overspend nothing."""
    parsed = [(line, json.loads(line)) for line in lines]
    check_chains(parsed)
    check_commands([raw for _line, raw in parsed])
    check_locks([raw for _line, raw in parsed])


def check_chains(parsed: list[tuple[bytes, dict[str, Any]]]) -> None:
    """Numbers are dense and each line holds the hash of the one before it in its chain."""
    heads: dict[str, tuple[int, str]] = {}
    for line, raw in parsed:
        seq, head = heads.get(raw["chain"], (0, GENESIS))
        require(raw["seq"] == seq + 1, f"chain {raw['chain']}: {raw['seq']} follows {seq}")
        require(raw["prev"] == head, f"chain {raw['chain']}: {raw['seq']} does not link")
        heads[raw["chain"]] = (raw["seq"], hashlib.sha256(line).hexdigest())


def check_commands(log: list[dict[str, Any]]) -> None:
    """A command's events stand together, in one chain: it had one effect."""
    owner: dict[str, str] = {}
    last: dict[str, str] = {}
    for raw in log:
        chain, cmd = raw["chain"], raw["cmd"]
        if last.get(chain) == cmd:
            continue
        require(cmd not in owner, f"command {cmd} had a second effect")
        owner[cmd] = chain
        last[chain] = cmd


def check_locks(log: list[dict[str, Any]]) -> None:
    """At each lock: item and agents are free, the wallet has the money. Each deal is locked and ends once."""
    live: dict[str, dict[str, Any]] = {}
    known: set[str] = set()
    budgets: dict[str, int] = {}
    spent: dict[str, int] = {}
    for raw in log:
        data = raw["data"]
        match raw["type"]:
            case "wallet.budgeted":
                budgets[data["wallet"]] = data["budget_usdc_micros"]
            case "deal.locked":
                terms = data["terms"]
                require(terms["deal"] not in known, f"deal {terms['deal']} is locked a second time")
                known.add(terms["deal"])
                for other in live.values():
                    require(
                        (other["collection"], other["item"]) != (terms["collection"], terms["item"]),
                        f"item {terms['item']['token_id']} is locked twice",
                    )
                    require(
                        {other["buyer"], other["seller"]}.isdisjoint({terms["buyer"], terms["seller"]}),
                        f"an agent of {terms['deal']} is locked twice",
                    )
                wallet = terms["buyer_wallet"]
                live[terms["deal"]] = terms
                reserved = sum(t["price_usdc_micros"] for t in live.values() if t["buyer_wallet"] == wallet)
                require(
                    reserved + spent.get(wallet, 0) <= budgets.get(wallet, 0), f"wallet {wallet} exceeds its budget"
                )
            case "deal.completed" | "deal.failed":
                require(data["deal"] in live, f"deal {data['deal']} ends without being live")
                terms = live.pop(data["deal"])
                if raw["type"] == "deal.completed":
                    wallet = terms["buyer_wallet"]
                    spent[wallet] = spent.get(wallet, 0) + terms["price_usdc_micros"]
