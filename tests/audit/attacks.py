"""What an attacker does who can make all hashes and the manifest's signature true again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Terms, deal_hash
from agentrooms.domain.user import user_id
from agentrooms.sim import archive
from agentrooms.sim.audit import RULES, audit
from agentrooms.sim.audit.source import Source
from agentrooms.sim.audit.walk import walk
from tests.audit import archives
from tests.audit.archives import Fields, failing, rewrite

INTEGRITY = ("lines", "chains", "heads")  # what an attacker with the seed can make true again
DUMMY_HASH = "ab" * 32


def of_type(lines: list[Fields], *types: str) -> list[Fields]:
    return [line for line in lines if line["type"] in types]


def acts(lines: list[Fields], *kinds: str) -> list[Fields]:
    return [line for line in of_type(lines, "act.posted") if not kinds or line["data"]["act"] in kinds]


def after(lines: list[Fields], line: Fields) -> int:
    """Returns where to insert something after a line."""
    return next(n for n, other in enumerate(lines) if other is line) + 1


def deal_lines(lines: list[Fields], type_: str = "deal.completed") -> list[Fields]:
    """Returns all lines about the first deal that has an event of the type."""
    deal = of_type(lines, type_)[0]["data"]["deal"]
    return [n for n in lines if n["data"].get("deal") == deal or n["data"].get("terms", {}).get("deal") == deal]


def rehash_terms(line: Fields) -> None:
    line["data"]["deal_hash"] = deal_hash(msgspec.convert(line["data"]["terms"], Terms))


class Attack:
    """A copy of an archive to be rewritten whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, mutate: archives.Mutate) -> dict[str, str]:
        """Rewrites, signs with the run's own key, and returns what the audit finds."""
        rewrite(self.folder, mutate)
        report = audit(self.folder)
        assert not report.passed
        assert [name for name in INTEGRITY if not report.check(name).passed] == [], failing(report)
        assert report.head == archive.read_manifest(self.folder).head
        return failing(report)

    def change_vault(self, change: Callable[[str, Any], tuple[str, Any]]) -> None:
        """Rewrites the vault's entries: key and decoded secret in, key and secret out."""
        entries = [json.loads(line) for line in (self.folder / archive.VAULT).read_bytes().splitlines()]
        changed = []
        for entry in entries:
            key, secret = change(entry["key"], json.loads(base64.b64decode(entry["secret"])))
            changed.append((key, canonical({"key": key, "secret": base64.b64encode(canonical(secret)).decode()})))
        (self.folder / archive.VAULT).write_bytes(b"".join(line + b"\n" for _key, line in sorted(changed)))


def wrongs_of(attack: Attack, name: str) -> list[str]:
    """Returns all that one rule finds, not only the first."""
    source = Source(attack.folder, lambda *_: None)
    rules = [rule(source) for rule in RULES]
    checks = {check.name: check for check in walk(source.log, rules, lambda *_: None)}
    assert not checks[name].passed
    return [wrong for rule in rules if rule.name == name for _line, wrong in rule.found.wrongs]


def comment(line: Fields, agent: str, round_: int) -> Fields:
    """Returns a harmless remark of an agent beside another's act."""
    none = dict.fromkeys(("price_usdc_micros", "quote", "refers_to", "to", "token_id"))
    data = {"act": "comment", "agent": agent, "mood": "calm", "round": round_, "text": "Hm.", "wording": "scripted"}
    return {**line, "type": "act.posted", "data": {**data, **none}}


def speech(line: Fields, **changes: object) -> Fields:
    """Returns what a person says beside an agent's act."""
    wallet = "0x" + "ab" * 20
    data = {"round": line["data"]["round"], "text": "Hm.", "user": user_id(wallet), "wallet": wallet, **changes}
    return {
        **line,
        "type": "person.spoke",
        "data": data,
        "tags": sorted([f"room:{line['chain']}", f"user:{data['user']}"]),
    }


def change_votes(change: Callable[[list[Fields]], object]) -> archives.Mutate:
    def mutate(lines: list[Fields]) -> None:
        change(next(n for n in deal_lines(lines) if n["type"] == "deal.certified")["data"]["votes"])

    return mutate
