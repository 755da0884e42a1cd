"""Mail servers of all kinds: with STARTTLS, with TLS from the first byte, with a password, or not there."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from agentrooms.errors import InvalidInput
from agentrooms.jobs.mail import Mail, Mailer, MailFailed, Server, server_of
from tests.jobs.receivers import Mailbox, mail_server

MAIL = Mail("n1", "ann@example.net", "Hello", "One line.")
SENDER = "agents@example.org"
TIMEOUT_S = 30.0
ANSWER_S = 0.4  # that a slow server takes for each


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    more = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *more, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


@pytest.fixture
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Of the server."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    return made


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Of a client that knows the certificate."""
    return ssl.create_default_context(cafile=str(certificate[0]))


def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: LoginPassword) -> AuthResult:
    """Knows one user."""
    return AuthResult(success=auth_data.password == b"pa:ss/word", handled=False)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", Server("mail.example.org", 587, tls=False)),
        ("smtps://mail.example.org", Server("mail.example.org", 465, tls=True)),
        ("smtp://ann:p%40ss@mail.example.org:25", Server("mail.example.org", 25, False, "ann", "p@ss")),
    ],
)
def test_the_server_of_a_setting(url: str, server: Server) -> None:
    assert server_of(url) == server


@pytest.mark.parametrize("url", ["http://a", "smtp://", "smtp://a:99999", "smtp://u:TOPSECRET@h:x", "mail.example.org"])
def test_what_is_no_server_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        server_of(url)
    assert "TOPSECRET" not in str(refused.value)


def test_a_password_goes_over_starttls_alone(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    box = Mailbox()
    with mail_server(box, tls_context=context, authenticator=check, auth_required=True) as port:
        Mailer(Server("127.0.0.1", port, False, "ann", "pa:ss/word"), SENDER, trusting).send(MAIL, TIMEOUT_S)
        with pytest.raises(MailFailed, match="SMTPAuthenticationError 535") as refused:
            Mailer(Server("127.0.0.1", port, False, "ann", "TOPSECRET"), SENDER, trusting).send(MAIL, TIMEOUT_S)
        assert "TOPSECRET" not in str(refused.value)
    assert len(box.mails) == 1
    with mail_server(box, authenticator=check, auth_require_tls=False) as port, pytest.raises(MailFailed):
        Mailer(Server("127.0.0.1", port, False, "ann", "pa:ss/word"), SENDER, trusting).send(MAIL, TIMEOUT_S)
    assert len(box.mails) == 1


def test_a_server_that_nobody_vouches_for_gets_nothing(context: ssl.SSLContext) -> None:
    box = Mailbox()
    with mail_server(box, tls_context=context) as port, pytest.raises(MailFailed, match="SSLCertVerificationError"):
        Mailer(Server("127.0.0.1", port, tls=False), SENDER).send(MAIL, TIMEOUT_S)
    assert box.mails == []


def test_tls_from_the_first_byte(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    box = Mailbox()
    with mail_server(box, ssl_context=context) as port:
        Mailer(Server("localhost", port, tls=True), SENDER, trusting).send(MAIL, TIMEOUT_S)
    assert [mail["Subject"] for mail in box.mails] == ["Hello"]


def test_no_server_is_a_clear_error() -> None:
    with pytest.raises(MailFailed, match="ConnectionRefusedError"):
        Mailer(Server("127.0.0.1", 1, tls=False), SENDER).send(MAIL, TIMEOUT_S)


@contextmanager
def slow_server() -> Iterator[int]:
    """Gives the port of a server that lets every answer wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as said, contextlib.suppress(OSError):
                answer = b"220 hello\r\n"
                while True:
                    time.sleep(ANSWER_S)
                    connection.sendall(answer)
                    if not said.readline():
                        return
                    answer = b"250 ok\r\n"

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_server_whose_answers_are_slow_has_its_time_for_all_of_them_together() -> None:
    with slow_server() as port, pytest.raises(MailFailed, match=r"Timeout|ServerDisconnected"):
        Mailer(Server("127.0.0.1", port, tls=False), SENDER).send(MAIL, 1.5 * ANSWER_S)
