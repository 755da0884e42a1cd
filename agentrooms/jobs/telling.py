"""What a notification says: as a webhook's body, and as a mail. Only what is public, or the receiver's own doing."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from agentrooms.accounts.contacts import CODE_MS
from agentrooms.accounts.notifications import Kind, Notification
from agentrooms.domain.money import USDC_MICROS, format_usdc
from agentrooms.jobs.mail import Mail, plain

SIGNATURE, ID, TYPE = "Agentrooms-Signature", "Agentrooms-Id", "Agentrooms-Event"
TEST = "test"  # the type of a webhook's try-out
FOOT = "You get this because you asked for e-mail about your agents. You can change that in your account."

_FAILED = {"rejected": "the verifiers rejected it", "expired": "its time was over"}
_LEFT = {
    "timeout": "its mandate ended",
    "deal_fault": "a deal failed through its side",
    "gave_up": "it gave up",
    "room_closed": "the room closed",
}
_ENCODER = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def body_of(notification: Notification) -> bytes:
    """Returns a webhook's body: the same for every attempt."""
    return _body(notification.id, notification.kind.value, notification.created_at_ms, data_of(notification))


def try_out(id: str, created_at_ms: int) -> bytes:
    """Returns the body of a try-out."""
    return _body(id, TEST, created_at_ms, {})


def data_of(notification: Notification) -> dict[str, Any]:
    """Returns what a notification is about, as it stands on the wire: ids and facts, money as in the API."""
    about = {"roomId": notification.room, "dealId": notification.deal, "agentId": notification.agent}
    data: dict[str, Any] = {name: one for name, one in about.items() if one} | notification.facts
    if "priceMicros" in data:
        data["price"] = Decimal(int(data["priceMicros"])) / USDC_MICROS
    return data


def headers_of(body: bytes, secret: str, id: str, type_: str, now_s: int) -> dict[str, str]:
    """Returns a delivery's headers. The signature covers the time, so that an old delivery cannot be sent again."""
    signed = hmac.new(secret.encode(), f"{now_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        SIGNATURE: f"t={now_s},v1={signed}",
        ID: id,
        TYPE: type_,
    }


def mail_of(notification: Notification, to: str) -> Mail:
    """Returns the mail that tells a notification."""
    subject, sentence = _words(notification)
    about = {"Deal": notification.deal, "Agent": notification.agent, "Room": notification.room}
    named = [f"{name}: {one}" for name, one in about.items() if one]
    return Mail(notification.id, to, subject, "\n".join([plain(sentence), "", *named, "", FOOT]))


def confirmation(id: str, to: str, code: str) -> Mail:
    """Returns the mail that brings a code."""
    text = (
        f"Your code is {code}. It holds for {CODE_MS // 60_000} minutes.\n\n"
        "Somebody, perhaps you, named this address for messages about trading agents. If it was not you, do nothing."
    )
    return Mail(id, to, "Confirm your e-mail address", text)


def _body(id: str, type_: str, created_at_ms: int, data: dict[str, Any]) -> bytes:
    created = datetime.fromtimestamp(created_at_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    return _ENCODER.encode({"id": id, "type": type_, "createdAt": created.replace("+00:00", "Z"), "data": data})


def _words(notification: Notification) -> tuple[str, str]:
    """Returns a subject without anybody's texts, and a sentence."""
    facts = notification.facts
    name, item = facts.get("name", "Your agent"), facts.get("item", "an item")
    match notification.kind:
        case Kind.DEAL_COMPLETED:
            did = "sold" if facts.get("role") == "seller" else "bought"
            return "Your deal is completed", f"{name} has {did} {item} for {_usdc(facts)}."
        case Kind.DEAL_FAILED:
            why = _FAILED.get(str(facts.get("reason")), "it came to nothing")
            return "Your deal has failed", f"The deal of {name} over {item} for {_usdc(facts)} has failed: {why}."
        case Kind.AGENT_LEFT:
            why = _LEFT.get(str(facts.get("reason")), "it is done")
            return "Your agent has left its room", f"{name} has left its room: {why}."
        case Kind.WEBHOOK_DISABLED:
            text = f"Your webhook {facts.get('webhookId', '')} did not answer again and again, and is switched off."
            return "Your webhook is switched off", text


def _usdc(facts: dict[str, Any]) -> str:
    return f"{format_usdc(int(facts.get('priceMicros', 0)))} USDC"
