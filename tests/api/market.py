"""A market with somebody in it who has something of everything, and people who would like to see or touch it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import jwt
from psycopg import sql

from agentrooms.accounts.schema import now_ms
from agentrooms.api.auth.tokens import ALGORITHM, Tokens, signing_keys
from agentrooms.api.home import Home
from agentrooms.events.postgres import connect
from agentrooms.jobs.catalogue import RUN, RUNS
from agentrooms.jobs.runs import Runs
from agentrooms.jobs.worker import Worker
from agentrooms.live.commands import OpenRoom
from tests.acceptance.sentinels import Searcher
from tests.api.serving import served
from tests.api.system import running_home
from tests.api.trading import Person, buyer
from tests.domain.samples import wallet

LIMIT, LIMIT_USDC_MICROS = 4_817.23, 4_817_230_000  # of the owner's agent, which never says a price
START = 12.5
MAIL = "owner.in.person@example.org"
HOOK = "https://hooks.example.org/only-the-owner-knows"
TIMEOUT_S = 60


class Market:
    """What there is. `people`: nobody, another user, the owner, an admin."""

    def __init__(self, home: Home, url: str) -> None:
        self.home, self.url = home, url
        self.owner, self.other, self.admin = (Person(home, name) for name in ("owner", "other", "admin"))
        self.people = {
            "nobody": Person(home, "nobody", signed_in=False),
            "other": self.other,
            "owner": self.owner,
            "admin": self.admin,
        }
        self.http = httpx.Client(base_url=url, timeout=TIMEOUT_S)
        self._looking = connect(home.running.dsn, "public")
        self.room = home.asking.ask(OpenRoom(id="market", name="Market")).room
        for person in (self.owner, self.other, self.admin):
            person.made("/wallet/fund", None)
        self.item: str = self.owner.read(f"/nfts?owner={self.owner.wallet}")["nfts"][0]["id"]
        self.agent = self.idle_agent()
        self.owner.ask("PUT", "/me/email", {"address": MAIL})
        self.webhook, self.webhook_secret = self.new_webhook()
        self.limits = Searcher({"limit": LIMIT_USDC_MICROS})

    def close(self) -> None:
        """Ends its own connections."""
        self.http.close()
        self._looking.close()

    def asked_agent(self) -> dict[str, Any]:
        """A buyer of what is not there."""
        wants = {"kind": "items", "tokenIds": ["1"]}
        return {**buyer(self.room, wants=wants), "maxPrice": LIMIT, "startingPrice": START}

    def signed_agent(self) -> dict[str, Any]:
        """What spawns a buyer of the owner's, signed by their wallet."""
        asked = self.asked_agent()
        draft = self.owner.made("/agents/mandate", asked)
        return {**asked, "mandateId": draft["mandateId"], "signature": self.owner.sign(draft["typedData"])}

    def idle_agent(self) -> str:
        """A buyer of the owner's that does nothing."""
        agent: str = self.owner.made("/agents/spawn", self.signed_agent())["agent"]["id"]
        assert self.owner.ask("PATCH", f"/agents/{agent}", {"action": "pause"}).status_code == 200
        return agent

    def new_webhook(self) -> tuple[str, str]:
        """A webhook of the owner's, and its secret."""
        made = self.owner.made("/me/webhooks", {"url": HOOK})["webhook"]
        return made["id"], made["secret"]

    def new_refresh_token(self, name: str = "other") -> str:
        """A refresh token of a session of its own."""
        return self.home.sign_in.start(wallet(name)).granted.token

    @cached_property
    def swarm(self) -> str:
        """A swarm of the owner's that has made a deal."""
        made = self.owner.made("/swarms/spawn", {"preset": "small_test", "seed": 7})["swarm"]["id"]
        found = self.owner.until(f"/swarms/{made}", lambda found: found["swarm"]["dealsCompleted"] > 0)
        return str(found["swarm"]["id"])

    @cached_property
    def deal(self) -> str:
        """A completed deal of the swarm's."""
        room = self.owner.read(f"/swarms/{self.swarm}")["swarm"]["roomId"]
        return str(self.owner.read(f"/deals?roomId={room}&status=completed")["deals"][0]["id"])

    @cached_property
    def run(self) -> str:
        """A finished run of the owner's."""
        made = self.owner.made("/runs", {"buyers": 1, "sellers": 1, "seed": 7})["run"]["id"]
        assert Worker(self.home.jobs, {RUN: Runs(self.home.folder.path).run}).step([RUNS])
        return str(made)

    @cached_property
    def doomed_agent(self) -> str:
        """An agent of the owner's to remove."""
        return self.idle_agent()

    @cached_property
    def doomed_webhook(self) -> str:
        """A webhook of the owner's to remove."""
        return self.new_webhook()[0]

    @cached_property
    def doomed_room(self) -> str:
        """A room to close."""
        return self.home.asking.ask(OpenRoom(id="doomed", name="Doomed")).room

    @cached_property
    def draft(self) -> dict[str, Any]:
        """What the owner's wallet has signed, to be spawned once."""
        return self.signed_agent()

    def leaks(self, body: bytes) -> set[str]:
        """Which private values of the owner's are in an answer or a frame."""
        secrets = {"e-mail": MAIL, "webhook": HOOK, "webhook's secret": self.webhook_secret}
        found = {name for name, text in secrets.items() if text.encode() in body or json.dumps(text).encode() in body}
        return found | self.limits.names(body)

    def state(self) -> tuple[object, ...]:
        """What requests can change: commands to the system, accounts, jobs. Of each table a hash of its rows."""
        connection = self._looking
        named = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema IN ('accounts', 'jobs') ORDER BY 1, 2"
        ).fetchall()
        assert named
        rows = sql.SQL("SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {} t")
        tables = [connection.execute(rows.format(sql.Identifier(*map(str, name)))).fetchone() for name in named]
        commands = connection.execute("SELECT max(number) FROM live.commands").fetchone()
        return (commands, *zip(named, tables, strict=True))

    @cached_property
    def bad_tokens(self) -> dict[str, tuple[str, str]]:
        """Access tokens of the owner's that are good for nothing, by what is wrong, with the code that says so."""
        sign_in, settings = self.home.sign_in, self.home.settings
        key = signing_keys(settings, self.home.secret)[0]
        started = sign_in.start(self.owner.wallet)
        good, claims = started.access_token, jwt.decode(started.access_token, options={"verify_signature": False})
        header = jwt.get_unverified_header(good)
        session = started.granted.session

        def forged(changes: dict[str, Any], secret: bytes = key, algorithm: str = ALGORITHM) -> str:
            return jwt.encode({**claims, **changes}, secret, algorithm, headers={"kid": header["kid"]})

        def issued(audience: str, *, late_ms: int = 0) -> str:
            return Tokens((key,), audience, 30, lambda: now_ms() - late_ms).issue(session)[0]

        ended = sign_in.start(self.owner.wallet)
        sign_in.end(session=ended.granted.session.id)
        head, _, tail = good.partition(".")
        payload, _, signature = tail.partition(".")
        other_payload = forged({"sub": self.admin.user, "walletAddress": self.admin.wallet}).split(".")[1]
        bad = {
            "expired": (issued(self.home.public_url, late_ms=3_600_000), "token_expired"),
            "of a session that is logged out": (ended.access_token, "token_expired"),
            "of another issuer": (issued("https://elsewhere.example"), "token_invalid"),
            "for another audience": (forged({"aud": "another"}), "token_invalid"),
            "signed with another key": (forged({}, b"k" * 32), "token_invalid"),
            "signed with another algorithm": (forged({}, key * 2, "HS512"), "token_invalid"),
            "not signed": (
                jwt.encode(claims, None, "none", headers={"kid": header["kid"]}),
                "token_invalid",
            ),
            "with another payload": (f"{head}.{other_payload}.{signature}", "token_invalid"),
            "without its signature": (f"{head}.{payload}.", "token_invalid"),
            "of the future": (forged({"iat": claims["iat"] + 3_600}), "token_invalid"),
            "a refresh token": (started.granted.token, "token_invalid"),
            "no token": ("undefined", "token_invalid"),
        }
        assert len({token for token, _ in bad.values()}) == len(bad)
        return bad


@contextmanager
def market_in(postgres_dsn: str, redis_url: str, path: Path, **settings: Any) -> Iterator[Market]:
    """Gives a market of its own behind a real server."""
    given = {
        "admin_wallets": wallet("admin"),
        "requests_per_minute": 1_000_000,
        "spawns_per_hour": 1_000_000,
        "smtp_url": "smtp://mail.example.org:25",
        "mail_from": "agentrooms@example.org",
        **settings,
    }
    with ExitStack() as ends:
        home = ends.enter_context(running_home(postgres_dsn, redis_url, path, **given))
        market = Market(home, ends.enter_context(served(home)))
        ends.callback(market.close)
        yield market
