"""Notifications: kept for the user to read, and delivered to webhooks and by mail, each delivery a job of its own.

A push to phones or browsers is not there.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from agentrooms.accounts.contacts import Contacts, Email, Webhook
from agentrooms.accounts.notifications import Kind, Notification, Notifications
from agentrooms.domain.ids import derive_id
from agentrooms.errors import AgentroomsError
from agentrooms.jobs import telling
from agentrooms.jobs.catalogue import CONFIRMATION, EMAIL, NOTIFY, WEBHOOK
from agentrooms.jobs.mail import Mail, Mailer
from agentrooms.jobs.queue import Job, JobQueue, NewJob
from agentrooms.jobs.triggers import News
from agentrooms.jobs.work import Hopeless, Work
from agentrooms.services.outbound import Outbound, OutboundFailed, OutboundRefused

POST_TIMEOUT_S = 10.0  # for a webhook's answer
MAIL_TIMEOUT_S = 25.0  # for the whole conversation


class DeliveryFailed(AgentroomsError):
    """A webhook did not answer as it should."""


class _Delivery(msgspec.Struct, frozen=True):
    """The payload of a delivery. Without a notification it is a try-out."""

    user: str
    notification: str = ""
    webhook: str = ""


class Notifier:
    """Does the jobs of the queue `notifications`. Without a `mailer` nothing is mailed."""

    def __init__(
        self,
        queue: JobQueue,
        contacts: Contacts,
        notifications: Notifications,
        outbound: Outbound,
        mailer: Mailer | None,
    ) -> None:
        self._queue, self._contacts, self._notifications = queue, contacts, notifications
        self._outbound, self._mailer = outbound, mailer

    def notify(self, work: Work) -> dict[str, Any]:
        """Keeps a notification and makes its deliveries; nothing for a user of whom nothing is kept."""
        news = msgspec.convert(work.job.payload, News)
        kept = self._notifications.record(
            news.id,
            news.user,
            Kind(news.kind),
            room=news.room,
            deal=news.deal,
            agent=news.agent,
            facts=news.facts,
        )
        if kept is None:
            return {"skipped": "the user has no account"}
        made = [self._queue.put(new).id for new in self._deliveries(kept)]
        return {"deliveries": made}

    def webhook(self, work: Work) -> dict[str, Any]:
        """Posts a notification to a webhook. Raises DeliveryFailed, Hopeless."""
        delivery = msgspec.convert(work.job.payload, _Delivery)
        webhook = self._contacts.webhook(delivery.user, delivery.webhook)
        if webhook is None or not webhook.active:
            return {"skipped": "the webhook is gone or switched off"}
        if not delivery.notification:
            return self._post(
                work, webhook, work.job.id, telling.TEST, telling.try_out(work.job.id, work.job.made_at_ms)
            )
        notification = self._notifications.get(delivery.notification)
        if notification is None:
            return {"skipped": "the notification is gone"}
        return self._post(work, webhook, notification.id, notification.kind, telling.body_of(notification))

    def email(self, work: Work) -> dict[str, Any]:
        """Mails a notification, when the address still wants it. Raises MailFailed, Hopeless."""
        delivery = msgspec.convert(work.job.payload, _Delivery)
        email, notification = self._contacts.email(delivery.user), self._notifications.get(delivery.notification)
        if email is None or notification is None or not _wants(email, notification):
            return {"skipped": "the address or the notification is gone"}
        return self._send(telling.mail_of(notification, email.address), work)

    def confirmation(self, work: Work) -> dict[str, Any]:
        """Mails a new code to an address that is not confirmed. Raises MailFailed, Hopeless."""
        found = self._contacts.new_code(msgspec.convert(work.job.payload, _Delivery).user)
        if found is None:
            return {"skipped": "there is no address to confirm"}
        address, code = found
        return self._send(telling.confirmation(work.job.id, address, code), work)

    def _deliveries(self, kept: Notification) -> list[NewJob]:
        made = [
            _job(WEBHOOK, f"{kept.id}:{webhook.id}", _Delivery(kept.user, kept.id, webhook.id))
            for webhook in self._contacts.webhooks(kept.user)
            if webhook.active and kept.kind in webhook.events
        ]
        email = self._contacts.email(kept.user)
        if self._mailer is not None and email is not None and _wants(email, kept):
            made.append(_job(EMAIL, kept.id, _Delivery(kept.user, kept.id)))
        return made

    def _post(self, work: Work, webhook: Webhook, id: str, type_: str, body: bytes) -> dict[str, Any]:
        headers = telling.headers_of(body, webhook.secret, id, type_, int(time.time()))
        try:
            status = self._outbound.post(webhook.url, body, headers, timeout_s=min(POST_TIMEOUT_S, work.left_s))
        except OutboundRefused as error:
            self._failed(webhook, None, dead=True)
            raise Hopeless(str(error), hint=error.hint) from error
        except OutboundFailed:
            self._failed(webhook, None, dead=work.job.last_attempt)
            raise
        if not 200 <= status < 300:
            self._failed(webhook, status, dead=work.job.last_attempt)
            raise DeliveryFailed(f"the webhook answered with status {status}", hint="2xx is what counts as taken")
        self._contacts.answered(webhook.id, status)
        return {"status": status}

    def _failed(self, webhook: Webhook, status: int | None, *, dead: bool) -> None:
        """Notes a failure; one that switched the webhook off is told to its owner."""
        if self._contacts.failed(webhook.id, status, dead=dead):
            news = News(Kind.WEBHOOK_DISABLED, webhook.user, facts={"webhookId": webhook.id})
            self._queue.put(NewJob(f"notify:{news.id}", NOTIFY, msgspec.to_builtins(news), news.user))

    def _send(self, mail: Mail, work: Work) -> dict[str, Any]:
        if self._mailer is None:
            raise Hopeless("no e-mail can be sent", hint="set SMTP_URL and MAIL_FROM")
        self._mailer.send(mail, min(MAIL_TIMEOUT_S, work.left_s))
        return {"sent": True}


def ask_confirmation(queue: JobQueue, email: Email, request: str) -> Job:
    """Has a code mailed to an address that is not confirmed; the same `request` again is the same mail.

    Raises InvalidInput, QueueFull.
    """
    return queue.put(_job(CONFIRMATION, derive_id("mail", email.user, request), _Delivery(email.user)))


def send_test(queue: JobQueue, webhook: Webhook, request: str) -> Job:
    """Tries a webhook out; the same `request` again is the same try. Its job says what came of it.

    Raises InvalidInput, QueueFull.
    """
    delivery = _Delivery(webhook.user, webhook=webhook.id)
    return queue.put(_job(WEBHOOK, derive_id("test", webhook.id, request), delivery))


def _job(kind: str, name: str, delivery: _Delivery) -> NewJob:
    return NewJob(f"{kind}:{name}", kind, msgspec.to_builtins(delivery), delivery.user)


def _wants(email: Email, notification: Notification) -> bool:
    return email.confirmed and notification.kind in email.events
