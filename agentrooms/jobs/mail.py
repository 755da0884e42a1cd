"""E-mail: plain text to one confirmed address, through the SMTP server of the settings."""

from __future__ import annotations

import smtplib
import ssl
import time
import unicodedata
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from agentrooms.domain.ids import derive_id
from agentrooms.errors import AgentroomsError, InvalidInput

SUBJECT_CHARACTERS_MAX = 150
BODY_CHARACTERS_MAX = 10_000
SOON_S = 0.01  # the least that is waited for an answer
PORTS = {"smtp": 587, "smtps": 465}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # controls, direction marks, line separators


class MailFailed(AgentroomsError):
    """A mail was not taken by the server. The message names neither the address nor a password."""


class Server(msgspec.Struct, frozen=True):
    """An SMTP server. Its password is asked for over TLS alone."""

    host: str
    port: int
    tls: bool
    """From the first byte; else by STARTTLS, where it is offered or a password needs it."""
    user: str = ""
    password: str = ""


class Mail(msgspec.Struct, frozen=True):
    """One mail. `id` names it for the receiver: a mail that is sent again has it again."""

    id: str
    to: str
    subject: str
    text: str


def server_of(url: str) -> Server:
    """Returns the server of SMTP_URL. Raises InvalidInput; the message does not repeat it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput("SMTP_URL has no proper host or port") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise InvalidInput("SMTP_URL is not smtp://HOST:PORT or smtps://HOST:PORT")
    return Server(
        parts.hostname,
        port or PORTS[parts.scheme],
        parts.scheme == "smtps",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


class _InTime(smtplib.SMTP):
    """A conversation that is over within a time, however many answers there are; smtplib bounds each alone."""

    def __init__(self, host: str, port: int, *, within_s: float, **more: Any) -> None:  # noqa: ANN401 - of either kind
        self._until_s = time.monotonic() + within_s
        super().__init__(host, port, timeout=within_s, **more)

    def getreply(self) -> tuple[int, bytes]:
        """Waits for an answer. Raises TimeoutError."""
        if self.sock is not None:
            self.sock.settimeout(max(self._until_s - time.monotonic(), SOON_S))
        return super().getreply()


class _InTimeTls(_InTime, smtplib.SMTP_SSL):
    """The same over TLS from the beginning."""


class Mailer:
    """Sends mail from one address. Safe to share between threads."""

    def __init__(self, server: Server, sender: str, tls: ssl.SSLContext | None = None) -> None:
        self._server, self._sender = server, sender
        self._tls = tls or ssl.create_default_context()

    def send(self, mail: Mail, timeout_s: float) -> None:
        """Hands a mail to the server, which takes `timeout_s` at most. Raises MailFailed."""
        message = compose(mail, self._sender)
        try:
            with self._connect(timeout_s) as smtp:
                smtp.send_message(message)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            code = getattr(error, "smtp_code", None)
            kind = type(error).__name__
            raise MailFailed(f"the mail server did not take it: {kind}{f' {code}' if code else ''}") from None

    def _connect(self, timeout_s: float) -> smtplib.SMTP:
        server = self._server
        if server.tls:
            smtp: smtplib.SMTP = _InTimeTls(server.host, server.port, within_s=timeout_s, context=self._tls)
        else:
            smtp = _InTime(server.host, server.port, within_s=timeout_s)
        try:
            smtp.ehlo()
            if not server.tls and (server.user or smtp.has_extn("starttls")):
                smtp.starttls(context=self._tls)  # raises where it is not offered
                smtp.ehlo()
            if server.user:
                smtp.login(server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def compose(mail: Mail, sender: str) -> EmailMessage:
    """Returns the message. Texts of others cannot add a header or a line that looks like one of ours."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = plain(mail.subject)[:SUBJECT_CHARACTERS_MAX]
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{derive_id('mail', mail.id)}@agentrooms.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(map(plain, mail.text.splitlines()))[:BODY_CHARACTERS_MAX] + "\n")
    return message


def plain(text: str) -> str:
    """Returns a text as one line without control characters."""
    return "".join(" " if unicodedata.category(character) in _HIDDEN else character for character in text)
