"""Notifications reach webhooks and mailboxes: signed, again after a failure, once each, and without anybody's secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agentrooms.accounts.contacts import DEAD_MAX, Contacts
from agentrooms.accounts.notifications import Kind, Notifications
from agentrooms.jobs import catalogue
from agentrooms.jobs.catalogue import NOTIFICATIONS, NOTIFY, QUEUES, WEBHOOKS
from agentrooms.jobs.mail import Mailer, Server
from agentrooms.jobs.notify import Notifier, ask_confirmation, send_test
from agentrooms.jobs.queue import JobQueue, NewJob, State
from agentrooms.jobs.triggers import News
from agentrooms.jobs.work import Task
from agentrooms.jobs.worker import Worker
from agentrooms.services.outbound import Outbound
from tests.jobs.clock import Clock
from tests.jobs.receivers import Hook, Mailbox, hook, mail_server

FACTS = {"item": "Tulip #3", "name": "Ann's agent", "priceMicros": "48250000", "role": "seller", "txHash": "0x12"}
NEWS = News("deal_completed", "user_a", "room_a", "deal_x", "agent_a", FACTS)


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as made:
        yield made


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def mailer(mailbox: Mailbox) -> Iterator[Mailer]:
    with mail_server(mailbox) as port:
        yield Mailer(Server("127.0.0.1", port, tls=False), "Agentrooms <agents@example.org>")


def tasks(notifier: Notifier) -> dict[str, Task]:
    return {
        catalogue.NOTIFY: notifier.notify,
        catalogue.WEBHOOK: notifier.webhook,
        catalogue.EMAIL: notifier.email,
        catalogue.CONFIRMATION: notifier.confirmation,
    }


@pytest.fixture
def worker(queue: JobQueue, contacts: Contacts, notifications: Notifications, mailer: Mailer) -> Worker:
    notifier = Notifier(queue, contacts, notifications, Outbound(private=True), mailer)
    return Worker(queue, tasks(notifier))


def tell(queue: JobQueue, news: News = NEWS) -> None:
    queue.put(NewJob(f"notify:{news.id}", NOTIFY, msgspec.to_builtins(news), news.user))


def work(worker: Worker) -> None:
    """Does all that is due."""
    while worker.step([NOTIFICATIONS, WEBHOOKS]):
        pass


def work_long(worker: Worker, clock: Clock) -> None:
    """Does all there is, also what is tried again later."""
    for _attempt in range(QUEUES[NOTIFICATIONS].attempts + 1):
        work(worker)
        clock.pass_s(900)


def states(queue: JobQueue, kind: str) -> list[State]:
    return [job.state for job in queue.jobs(limit=500) if job.kind == kind]


def confirmed(contacts: Contacts, user: str = "user_a") -> None:
    contacts.set_email(user, f"{user}@example.net")
    found = contacts.new_code(user)
    assert found is not None
    contacts.confirm(user, found[1])


# --- Webhooks -------------------------------------------------------------------------------------------


def test_a_webhook_gets_a_signed_notification_once(
    queue: JobQueue, worker: Worker, contacts: Contacts, notifications: Notifications, receiver: Hook, clock: Clock
) -> None:
    webhook = contacts.add_webhook("user_a", receiver.url)
    contacts.add_webhook("user_a", receiver.url, [Kind.AGENT_LEFT])
    contacts.add_webhook("user_b", receiver.url)
    tell(queue)
    work(worker)
    tell(queue)
    work(worker)
    ((headers, body),) = receiver.got
    (notification,) = notifications.page("user_a")
    document = json.loads(body)
    assert document == {
        "id": notification.id,
        "type": "deal_completed",
        "createdAt": "2027-01-15T08:00:00.000Z",
        "data": {"roomId": "room_a", "dealId": "deal_x", "agentId": "agent_a", "price": 48.25, **FACTS},
    }
    assert (headers["Agentrooms-Id"], headers["Agentrooms-Event"]) == (notification.id, "deal_completed")
    signature = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["Agentrooms-Signature"])
    assert signature is not None
    expected = hmac.new(webhook.secret.encode(), signature[1].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert signature[2] == expected
    kept = contacts.webhook("user_a", webhook.id)
    assert kept is not None
    assert (kept.last_status, kept.last_at_ms) == (200, clock.ms)
    assert webhook.secret not in str(queue.jobs())


def test_a_delivery_is_tried_again_and_says_it_is_the_same(
    queue: JobQueue, worker: Worker, contacts: Contacts, receiver: Hook, clock: Clock
) -> None:
    webhook = contacts.add_webhook("user_a", receiver.url)
    receiver.answers = [500, 302]
    tell(queue)
    work_long(worker, clock)
    assert len({(headers["Agentrooms-Id"], body) for headers, body in receiver.got}) == 1
    assert len(receiver.got) == 3
    assert states(queue, catalogue.WEBHOOK) == [State.DONE]
    assert contacts.webhooks("user_a")[0].dead_in_a_row == 0
    assert webhook.active


def test_a_webhook_that_never_answers_is_switched_off_and_its_owner_told(
    queue: JobQueue, worker: Worker, contacts: Contacts, notifications: Notifications, receiver: Hook, clock: Clock
) -> None:
    webhook = contacts.add_webhook("user_a", receiver.url)
    receiver.answers = [500] * 100
    for n in range(DEAD_MAX):
        tell(queue, msgspec.structs.replace(NEWS, deal=f"deal_{n}"))
        work_long(worker, clock)
    assert states(queue, catalogue.WEBHOOK) == [State.DEAD] * DEAD_MAX
    assert len(receiver.got) == 3 * DEAD_MAX
    (kept,) = contacts.webhooks("user_a")
    assert (kept.active, kept.last_status) == (False, 500)
    told = notifications.page("user_a")[0]
    assert (told.kind, told.facts) == (Kind.WEBHOOK_DISABLED, {"webhookId": webhook.id})
    tell(queue, msgspec.structs.replace(NEWS, deal="deal_z"))
    work(worker)
    assert len(receiver.got) == 3 * DEAD_MAX


def test_a_private_address_is_never_reached(
    queue: JobQueue, contacts: Contacts, notifications: Notifications, receiver: Hook
) -> None:
    contacts.add_webhook("user_a", receiver.url)
    contacts.add_webhook("user_a", receiver.url.replace("http://", "https://"))
    worker = Worker(queue, tasks(Notifier(queue, contacts, notifications, Outbound(), None)))
    tell(queue)
    work(worker)
    assert receiver.got == []
    assert states(queue, catalogue.WEBHOOK) == [State.DEAD] * 2
    assert "SECRET_PATH" not in str(queue.jobs())


def test_a_webhook_that_is_gone_gets_nothing(
    queue: JobQueue, worker: Worker, contacts: Contacts, receiver: Hook, clock: Clock
) -> None:
    webhook = contacts.add_webhook("user_a", receiver.url)
    receiver.answers = [500]
    tell(queue)
    work(worker)
    contacts.remove_webhook("user_a", webhook.id)
    work_long(worker, clock)
    assert len(receiver.got) == 1
    assert states(queue, catalogue.WEBHOOK) == [State.DONE]


def test_a_webhook_can_be_tried_out(queue: JobQueue, worker: Worker, contacts: Contacts, receiver: Hook) -> None:
    webhook = contacts.add_webhook("user_a", receiver.url, [])
    job = send_test(queue, webhook, "request-1")
    assert send_test(queue, webhook, "request-1").id == job.id
    work(worker)
    ((headers, body),) = receiver.got
    assert headers["Agentrooms-Event"] == json.loads(body)["type"] == "test"
    assert json.loads(body)["id"] == job.id
    assert queue.get(job.id).result == {"status": 200}


# --- Mail -----------------------------------------------------------------------------------------------


def test_a_confirmed_address_gets_mail_in_plain_text(
    queue: JobQueue, worker: Worker, contacts: Contacts, mailbox: Mailbox
) -> None:
    confirmed(contacts)
    tell(queue)
    tell(queue)
    work(worker)
    (mail,) = mailbox.mails
    assert mailbox.recipients == [["user_a@example.net"]]
    assert (mail["To"], mail["From"]) == ("user_a@example.net", "Agentrooms <agents@example.org>")
    assert mail["Subject"] == "Your deal is completed"
    assert mail.get_content_type() == "text/plain"
    assert "Ann's agent has sold Tulip #3 for 48.25 USDC." in mail.get_content()
    assert "user_a@example.net" not in str(queue.jobs()), "the address stays in the accounts"


def test_only_what_was_asked_for_is_mailed_and_only_to_a_confirmed_address(
    queue: JobQueue, worker: Worker, contacts: Contacts, mailbox: Mailbox
) -> None:
    contacts.set_email("user_b", "user_b@example.net")
    confirmed(contacts)
    contacts.set_email("user_a", "user_a@example.net", [Kind.DEAL_FAILED])
    tell(queue)
    tell(queue, msgspec.structs.replace(NEWS, user="user_b"))
    work(worker)
    assert mailbox.mails == []


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_its_words(
    kind: Kind, queue: JobQueue, worker: Worker, contacts: Contacts, mailbox: Mailbox
) -> None:
    confirmed(contacts)
    tell(queue, msgspec.structs.replace(NEWS, kind=kind.value, facts={**FACTS, "reason": "expired", "webhookId": "w"}))
    work(worker)
    (mail,) = mailbox.mails
    assert mail["Subject"].startswith("Your ")


def test_the_code_that_confirms_an_address_is_mailed_and_nowhere_else(
    queue: JobQueue, worker: Worker, contacts: Contacts, mailbox: Mailbox
) -> None:
    email = contacts.set_email("user_a", "user_a@example.net")
    ask_confirmation(queue, email, "request-1")
    ask_confirmation(queue, email, "request-1")
    work(worker)
    (mail,) = mailbox.mails
    (code,) = re.findall(r"\b\d{6}\b", mail.get_content())
    assert f'"{code}"' not in str(queue.jobs())
    assert contacts.confirm("user_a", code).confirmed


def test_texts_of_others_add_no_header_and_no_line(
    queue: JobQueue, worker: Worker, contacts: Contacts, mailbox: Mailbox
) -> None:
    confirmed(contacts)
    evil = "Ann\r\nBcc: all@example.org\r\n\r\nDeal: deal_fake\u2028\u202eYour"
    tell(queue, msgspec.structs.replace(NEWS, facts={**FACTS, "name": evil, "item": evil}))
    work(worker)
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mailbox.recipients == [["user_a@example.net"]]
    lines = mail.get_content().splitlines()
    assert [line for line in lines if line.startswith(("Deal:", "Bcc"))] == ["Deal: deal_x"]
    assert "\u202e" not in mail.get_content()


def test_a_mail_is_tried_again_and_a_refusal_names_no_address(
    queue: JobQueue, worker: Worker, contacts: Contacts, mailbox: Mailbox, clock: Clock
) -> None:
    confirmed(contacts)
    mailbox.refusing = "452 user_a@example.net is over quota"
    tell(queue)
    work(worker)
    (job,) = [job for job in queue.jobs() if job.kind == catalogue.EMAIL]
    assert (job.state, job.error) == (State.WAITING, "the mail server did not take it: SMTPDataError 452")
    mailbox.refusing = ""
    work_long(worker, clock)
    assert len(mailbox.mails) == 1


def test_without_a_mail_server_notifications_are_kept_and_nothing_is_mailed(
    queue: JobQueue, contacts: Contacts, notifications: Notifications
) -> None:
    confirmed(contacts)
    worker = Worker(queue, tasks(Notifier(queue, contacts, notifications, Outbound(private=True), None)))
    tell(queue)
    work(worker)
    assert states(queue, catalogue.EMAIL) == []
    assert len(notifications.page("user_a")) == 1
    job = ask_confirmation(queue, contacts.set_email("user_b", "b@example.net"), "r")
    work(worker)
    assert queue.get(job.id).error == "no e-mail can be sent (set SMTP_URL and MAIL_FROM)"


def test_a_stranger_is_told_nothing(queue: JobQueue, worker: Worker, notifications: Notifications) -> None:
    tell(queue, msgspec.structs.replace(NEWS, user="user_c"))
    work(worker)
    assert notifications.page("user_c") == []
    results: list[dict[str, Any]] = [job.result for job in queue.jobs()]
    assert results == [{"skipped": "the user has no account"}]
