"""What belongs to one user: dashboard, portfolio, notifications, webhooks, e-mail, export."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agentrooms.accounts.contacts import ADDRESS_CHARACTERS_MAX, CODE_DIGITS, Email, Webhook
from agentrooms.accounts.notifications import PAGE_MAX, Kind, Notification
from agentrooms.api.models.agents import AgentBody, MandateBody
from agentrooms.api.models.base import Asked, Micros, Time, Usdc, Wire, iso
from agentrooms.api.models.deals import DealBody
from agentrooms.api.models.frames import NftBrief
from agentrooms.api.models.swarms import SwarmBody
from agentrooms.jobs.telling import data_of
from agentrooms.services.outbound import URL_CHARACTERS_MAX

_DATA = {"name": "Ada", "item": "Punk #1234", "role": "buyer", "price": 48.25, "priceMicros": "48250000"}
_EVENTS = Field(default=tuple(Kind), min_length=1, max_length=len(Kind), description="Of what; of all by default")


class Metrics(Wire):
    """What one's agents achieved together. Savings and earnings are against the floor at the lock."""

    agents: int = Field(examples=[4])
    active_agents: int = Field(examples=[1])
    agents_with_deal: int = Field(examples=[2])
    efficiency: float | None = Field(
        description="Agents with a completed deal over all that have left", examples=[0.67]
    )
    deals_completed: int = Field(examples=[2])
    deals_failed: int = Field(examples=[0])
    messages_sent: int = Field(examples=[57])
    avg_negotiation_seconds: float | None = Field(examples=[21.5])
    best_deal_permille: int | None = Field(description="Most by which a price beat the floor", examples=[42])
    total_savings: Usdc
    total_savings_micros: Micros
    total_earnings: Usdc
    total_earnings_micros: Micros


class Dashboard(Wire):
    """One's agents, swarms and deals at a glance."""

    active_agents: tuple[AgentBody, ...]
    completed_agents: tuple[AgentBody, ...] = Field(description="The last to leave first")
    swarms: tuple[SwarmBody, ...]
    recent_deals: tuple[DealBody, ...] = Field(description="The newest lock first")
    metrics: Metrics
    unread_notifications: int = Field(examples=[0])


class DashboardAnswer(Wire):
    """One's dashboard."""

    dashboard: Dashboard


class OwnItem(NftBrief):
    """An item of one's own wallet, as the chain says now."""

    agent_id: str | None = Field(description="The agent that offers it", examples=[None])
    deal_id: str | None = Field(description="The deal that binds it", examples=[None])


class Committed(Wire):
    """What of one's USDC may be spent: in live deals, and by agents up to their limits. For oneself alone."""

    in_deals: Usdc
    in_deals_micros: Micros
    by_mandates: Usdc = Field(description="Limits of one's buyers that no deal binds")
    by_mandates_micros: Micros
    total: Usdc
    total_micros: Micros


class Realised(Wire):
    """What one's completed deals came to."""

    bought: int = Field(examples=[1])
    sold: int = Field(examples=[1])
    paid: Usdc
    paid_micros: Micros
    received: Usdc
    received_micros: Micros
    result: Usdc = Field(description="Received minus paid")
    result_micros: Micros


class Portfolio(Wire):
    """What one's wallet holds, has promised and has earned."""

    wallet_address: str = Field(examples=["0x52908400098527886e0f7030069857d2e4169ee7"])
    nfts: tuple[OwnItem, ...]
    balance: float | None = Field(description="USDC; null when no JSON number holds it", examples=[120.5])
    balance_micros: str = Field(examples=["120500000"])
    allowance: float | None = Field(
        description="What the escrow may take of it; null when no JSON number holds it", examples=[100]
    )
    allowance_micros: str = Field(examples=["100000000"])
    committed: Committed
    realised: Realised


class PortfolioAnswer(Wire):
    """One's portfolio, with a page of its items."""

    portfolio: Portfolio
    next_cursor: str | None = Field(description="Of the items", examples=[None])


class NotificationBody(Wire):
    """One notification. Ids that do not concern it are empty."""

    id: str = Field(examples=["deal_k3vq5x2ryw7la:buyer"])
    type: Kind
    data: dict[str, Any] = Field(description="As webhooks get it", examples=[_DATA])
    created_at: Time
    read_at: Time | None


class NotificationsPage(Wire):
    """One's notifications, the newest first."""

    notifications: tuple[NotificationBody, ...]
    unread: int = Field(examples=[1])
    next_cursor: str | None = Field(examples=[None])


class ReadAsked(Asked):
    """Which notifications one has read; all of them by default."""

    ids: tuple[Annotated[str, Field(pattern=r"^[!-~]{1,200}$")], ...] | None = Field(default=None, max_length=PAGE_MAX)


class ReadAnswer(Wire):
    """How many were not read before."""

    read: int = Field(examples=[1])


class WebhookAsked(Asked):
    """A webhook to add. What it gets is signed with its secret."""

    url: str = Field(min_length=1, max_length=URL_CHARACTERS_MAX, examples=["https://hooks.example.org/agentrooms"])
    events: tuple[Kind, ...] = _EVENTS


class WebhookBody(Wire):
    """One webhook."""

    id: str = Field(examples=["webhook_3f9a1c2d4e5b6a70"])
    url: str = Field(examples=["https://hooks.example.org/agentrooms"])
    events: tuple[Kind, ...]
    active: bool = Field(description="Switched off when it did not answer again and again", examples=[True])
    last_status: int | None = Field(examples=[200])
    last_at: Time | None
    created_at: Time


class NewWebhook(WebhookBody):
    """A new webhook with its secret, which is shown this once."""

    secret: str = Field(examples=["whsec_2vN8bq0Yl1mR4tXw"])


class WebhookAnswer(Wire):
    """A new webhook."""

    webhook: NewWebhook


class WebhooksAnswer(Wire):
    """One's webhooks, the oldest first."""

    webhooks: tuple[WebhookBody, ...]


class TestAnswer(Wire):
    """A delivery is under way; the webhook's `lastStatus` tells what came of it."""

    delivery_id: str = Field(examples=["test_4q7rx2l3vnk5e"])


class Gone(Wire):
    """It is gone."""

    message: str = Field(examples=["Webhook removed"])


class EmailAsked(Asked):
    """The address for one's mail, null for none, and what is mailed."""

    address: str | None = Field(max_length=ADDRESS_CHARACTERS_MAX, examples=["ada@example.org"])
    events: tuple[Kind, ...] = _EVENTS


class ConfirmAsked(Asked):
    """The code that was mailed."""

    code: str = Field(pattern=rf"^[0-9]{{{CODE_DIGITS}}}$", examples=["123456"])


class EmailBody(Wire):
    """One's address. Nothing but codes is mailed before it is confirmed."""

    address: str = Field(examples=["ada@example.org"])
    events: tuple[Kind, ...]
    confirmed: bool = Field(examples=[True])
    confirmed_at: Time | None


class EmailAnswer(Wire):
    """One's address, null for none."""

    email: EmailBody | None


class SessionBody(Wire):
    """One sign-in."""

    created_at: Time
    expires_at: Time


class OwnAgent(AgentBody):
    """An agent of one's own with its limits."""

    mandate: MandateBody | None


class Spoken(Wire):
    """Something one said in a room."""

    room_id: str = Field(examples=["room_lg4yq2x7mk3ve"])
    message: str = Field(examples=["Good evening."])
    at: Time


class AccountExport(Wire):
    """All that is kept of one user. Each list has at most 10 000 entries; `cut` names those that have more."""

    user_id: str = Field(examples=["user_m2c5rk7xq3zvy"])
    wallet_address: str = Field(examples=["0x52908400098527886e0f7030069857d2e4169ee7"])
    exported_at: Time
    agents: tuple[OwnAgent, ...]
    swarms: tuple[SwarmBody, ...]
    deals: tuple[DealBody, ...]
    messages: tuple[Spoken, ...]
    notifications: tuple[NotificationBody, ...]
    webhooks: tuple[WebhookBody, ...]
    email: EmailBody | None
    sessions: tuple[SessionBody, ...]
    run_ids: tuple[str, ...] = Field(examples=[[]])
    cut: tuple[str, ...] = Field(examples=[[]])


class Erased(Wire):
    """It is done. `kept` says what cannot be erased, and why."""

    message: str = Field(examples=["Account erased"])
    kept: tuple[str, ...] = Field(examples=[["the log: it proves other people's deals too"]])


def notification_body(one: Notification) -> NotificationBody:
    """Returns a notification."""
    data = {name: float(value) if name == "price" else value for name, value in data_of(one).items()}
    read_at = iso(one.read_at_ms)
    return NotificationBody(id=one.id, type=one.kind, data=data, created_at=iso(one.created_at_ms), read_at=read_at)


def webhook_fields(one: Webhook) -> dict[str, object]:
    """Returns the fields of a webhook that are not secret."""
    return {
        "id": one.id,
        "url": one.url,
        "events": one.events,
        "active": one.active,
        "last_status": one.last_status,
        "last_at": iso(one.last_at_ms),
        "created_at": iso(one.created_at_ms),
    }


def webhook_body(one: Webhook) -> WebhookBody:
    """Returns a webhook without its secret."""
    return WebhookBody.model_validate(webhook_fields(one))


def email_body(email: Email | None) -> EmailBody | None:
    """Returns an address."""
    if email is None:
        return None
    at = iso(email.confirmed_at_ms)
    return EmailBody(address=email.address, events=email.events, confirmed=email.confirmed, confirmed_at=at)
