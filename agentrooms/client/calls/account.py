"""What is one's own."""

from __future__ import annotations

from collections.abc import Sequence

from agentrooms.api.models.account import (
    AccountExport,
    DashboardAnswer,
    EmailAnswer,
    Erased,
    Gone,
    NotificationsPage,
    PortfolioAnswer,
    ReadAnswer,
    TestAnswer,
    WebhookAnswer,
    WebhooksAnswer,
)
from agentrooms.client.call import NULL, Call, at, get, write


def get_dashboard() -> Call[DashboardAnswer]:
    """Gets one's agents, deals and figures at a glance."""
    return get("/me/dashboard", DashboardAnswer)


def get_portfolio(*, cursor: str | None = None, limit: int | None = None) -> Call[PortfolioAnswer]:
    """Gets one's items, money and what is bound of it."""
    return get("/me/portfolio", PortfolioAnswer, cursor=cursor, limit=limit)


def list_notifications(
    *, unread: bool | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[NotificationsPage]:
    """Lists what one was told, the newest first."""
    return get("/me/notifications", NotificationsPage, unread=unread, cursor=cursor, limit=limit)


def read_notifications(ids: Sequence[str] | None = None) -> Call[ReadAnswer]:
    """Marks notifications as read, all without `ids`."""
    return write("POST", "/me/notifications/read", ReadAnswer, ids=list(ids) if ids is not None else None)


def list_webhooks() -> Call[WebhooksAnswer]:
    """Lists one's webhooks."""
    return get("/me/webhooks", WebhooksAnswer)


def add_webhook(url: str, *, events: Sequence[str] | None = None) -> Call[WebhookAnswer]:
    """Adds a webhook; its secret is in this answer alone."""
    return write("POST", "/me/webhooks", WebhookAnswer, url=url, events=list(events) if events is not None else None)


def remove_webhook(webhook: str) -> Call[Gone]:
    """Removes a webhook."""
    return write("DELETE", at("me", "webhooks", webhook), Gone)


def test_webhook(webhook: str) -> Call[TestAnswer]:
    """Has a webhook told something, to see whether it hears."""
    return write("POST", at("me", "webhooks", webhook, "test"), TestAnswer)


def get_email() -> Call[EmailAnswer]:
    """Gets one's address for mail."""
    return get("/me/email", EmailAnswer)


def set_email(address: str | None, *, events: Sequence[str] | None = None) -> Call[EmailAnswer]:
    """Sets one's address, which is sent a code to confirm it; None removes it."""
    given = list(events) if events is not None else None
    return write("PUT", "/me/email", EmailAnswer, address=NULL if address is None else address, events=given)


def confirm_email(code: str) -> Call[EmailAnswer]:
    """Confirms one's address with the code that was mailed."""
    return write("POST", "/me/email/confirm", EmailAnswer, code=code)


def export_account() -> Call[AccountExport]:
    """Gets all that is held of oneself."""
    return get("/me/export", AccountExport)


def erase_account() -> Call[Erased]:
    """Erases what is held of oneself beside the log, and ends all sessions."""
    return write("DELETE", "/me", Erased)
