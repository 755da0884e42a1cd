"""The PRD's way over HTTP: two people with their own wallets draft, sign and spawn; their agents deal; all is proved."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentrooms.api.home import Home
from agentrooms.api.models.base import iso
from agentrooms.domain.mandate import typed_data
from agentrooms.events.postgres import connect
from agentrooms.jobs.schema import SCHEMA as JOBS
from agentrooms.live.commands import OpenRoom
from agentrooms.live.drafts import load_draft
from tests.api.system import running_home
from tests.api.trading import Person, buyer, seller

pytestmark = pytest.mark.xdist_group("api-agents")  # one system for all of them

LIMITS = {"9017": 90_170_000, "3019": 30_190_000}  # of the two: no price that is ever quoted
SPAWNS = 8


class Scene:
    """A room, two people with items and money, and a deal of their agents."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.room = home.asking.ask(OpenRoom(id="room", name="market")).room
        self.ada, self.bob, self.eve = (Person(home, name) for name in ("ada", "bob", "eve"))
        self.nobody = Person(home, "nobody", signed_in=False)
        for person in (self.ada, self.bob, self.eve):
            person.made("/wallet/fund", None)
        self.item = self.item_of(self.bob)
        self.seller = self.bob.spawn(seller(self.room, self.item))
        self.buyer = self.ada.spawn(buyer(self.room))
        ended = self.ada.until(f"/agents/{self.buyer['id']}", lambda found: found["agent"]["leftAt"] is not None)
        self.deal: str = ended["agent"]["dealId"]

    def item_of(self, person: Person) -> str:
        """The item a person was given."""
        nft: str = self.nobody.read(f"/nfts?owner={person.wallet}")["nfts"][0]["id"]
        return nft


@pytest.fixture(scope="module")
def scene(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    path: Path = tmp_path_factory.mktemp("agents")
    with running_home(postgres_dsn, redis_url, path, requests_per_minute=100_000, spawns_per_hour=SPAWNS) as home:
        yield Scene(home)


def test_what_is_signed_is_the_mandate_that_the_desk_made(scene: Scene) -> None:
    draft = scene.ada.made("/agents/mandate", buyer(scene.room, expiresInSeconds=900))
    made = load_draft(scene.home.vault, draft["mandateId"])
    assert draft["typedData"] == typed_data(made.mandate, scene.home.site.domain)
    assert draft["mandateHash"] == made.spawned.mandate_hash
    assert draft["approvals"]["allowanceMissing"] is False
    assert (made.mandate.principal, made.mandate.reservation_usdc_micros) == (scene.ada.wallet, LIMITS["9017"])


def test_spawned_agents_are_as_they_were_asked_for(scene: Scene) -> None:
    assert (scene.seller["status"], scene.buyer["status"]) == ("spawned", "spawned")
    assert (scene.buyer["name"], scene.buyer["avatar"], scene.buyer["role"]) == ("Ada", "🦊", "buyer")
    assert (scene.buyer["userId"], scene.buyer["roomId"]) == (scene.ada.user, scene.room)
    assert scene.buyer["mandate"]["maxPrice"] == 90.17
    assert (scene.seller["mandate"]["minPrice"], scene.seller["mandate"]["maxPrice"]) == (30.19, 2 * 57.07)
    assert scene.seller["nftId"] == scene.item


def test_the_deal_is_there_for_all_and_in_both_lists_of_ones_own(scene: Scene) -> None:
    answer = scene.nobody.get(f"/deals/{scene.deal}")
    deal = answer.json()["deal"]
    assert (deal["status"], deal["percent"], deal["nft"]["id"]) == ("completed", 100, scene.item)
    assert (deal["buyerAgent"]["id"], deal["sellerAgent"]["id"]) == (scene.buyer["id"], scene.seller["id"])
    assert (deal["buyerAgent"]["walletAddress"], deal["buyerAgent"]["name"]) == (scene.ada.wallet, "Ada")
    assert deal["finalPriceMicros"] == str(round(deal["finalPrice"] * 1_000_000))
    assert (deal["verification"]["decision"], len(deal["votes"])) == ("approve", 7)
    assert deal["txHash"].startswith("0x")
    assert deal["completedAt"] > deal["lockedAt"]
    again = scene.nobody.get(f"/deals/{scene.deal}", **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for person in (scene.ada, scene.bob):
        mine = person.read("/deals/my?status=completed&limit=1&offset=0")
        assert ([one["id"] for one in mine["deals"]], mine["total"]) == ([scene.deal], 1)
        assert person.read("/deals/my?offset=1") == {"deals": [], "nextCursor": None, "total": 1}
        assert person.read("/deals/my?status=failed")["total"] == 0
    assert scene.eve.read("/deals/my") == {"deals": [], "nextCursor": None, "total": 0}
    assert [one["id"] for one in scene.nobody.read(f"/deals?roomId={scene.room}")["deals"]] == [scene.deal]
    assert [one["id"] for one in scene.nobody.read(f"/rooms/{scene.room}")["room"]["recentDeals"]] == [scene.deal]
    stats = scene.nobody.read(f"/rooms/{scene.room}/stats")["stats"]
    assert (stats["totalDeals"], stats["avgPrice"], stats["successRate"]) == (1, deal["finalPrice"], 1.0)


def test_the_certificate_proves_the_deal_without_a_limit(scene: Scene) -> None:
    found = scene.nobody.read(f"/deals/{scene.deal}/certificate")
    proof = found["certificate"]
    assert (found["wrong"], proof["deal"], proof["certificate"]["agreeing"]) == ([], scene.deal, 7)
    assert {party["within"]["mark"] for party in proof["parties"]} == {"ok"}
    assert all("mandate" not in party for party in proof["parties"])
    assert scene.nobody.get("/deals/deal_nothing/certificate").status_code == 404


def test_limits_are_in_no_answer_but_their_owners(scene: Scene) -> None:
    paths = [
        *(f"/agents/{agent['id']}" for agent in (scene.buyer, scene.seller)),
        *(f"/deals/{scene.deal}{more}" for more in ("", "/certificate")),
        *(f"/rooms/{scene.room}{more}" for more in ("", "/stats", "/events?limit=1000", "/state")),
        *("/rooms", "/agents", "/deals", f"/agents?roomId={scene.room}"),
    ]
    for person in (scene.nobody, scene.eve):
        for path in paths:
            answer = person.get(path)
            assert answer.status_code == 200, path
            assert found_in(answer.content) == [], path
    assert found_in(scene.ada.get(f"/agents/{scene.buyer['id']}").content) == ["9017"]
    assert found_in(scene.bob.get(f"/agents/{scene.seller['id']}").content) == ["3019"]
    assert found_in(scene.ada.get(f"/agents/{scene.seller['id']}").content) == []
    assert found_in(scene.ada.get("/me/export").content) == ["9017"]


def test_everybody_gets_the_same_fields_of_an_agent(scene: Scene) -> None:
    own = scene.ada.read(f"/agents/{scene.buyer['id']}")["agent"]
    others = scene.nobody.read(f"/agents/{scene.buyer['id']}")["agent"]
    assert own.keys() == others.keys()
    assert {name for name in own if own[name] != others[name]} == {"mandate"}
    assert others["mandate"] is None
    assert scene.ada.get(f"/agents/{scene.buyer['id']}").headers["cache-control"] == "no-store"
    assert (own["status"], own["performance"]["dealsCompleted"], own["deal"]["id"]) == ("completed", 1, scene.deal)


def test_reasons_are_for_the_owner_alone_and_of_one_agent(scene: Scene) -> None:
    path = f"/agents/{scene.buyer['id']}/reasons"
    whole = scene.ada.read(path)
    assert whole["nextCursor"] is None
    assert [one["round"] for one in whole["reasons"]] == sorted({one["round"] for one in whole["reasons"]})
    first = scene.ada.read(f"{path}?limit=1")
    rest = scene.ada.read(f"{path}?cursor={first['nextCursor']}") if len(whole["reasons"]) > 1 else {"reasons": []}
    assert first["reasons"] + rest["reasons"] == whole["reasons"]
    assert scene.bob.get(path).status_code == 403
    assert scene.nobody.get(path).status_code == 401
    assert scene.ada.get("/agents/agent_nothing/reasons").status_code == 404


def test_only_the_owner_steers_and_removes(scene: Scene) -> None:
    agent = scene.eve.spawn(buyer(scene.room, wants={"kind": "items", "tokenIds": ["1"]}))["id"]
    for person, status in ((scene.ada, 403), (scene.nobody, 401)):
        assert person.ask("PATCH", f"/agents/{agent}", {"action": "pause"}).status_code == status
        assert person.ask("DELETE", f"/agents/{agent}").status_code == status
    paused = scene.eve.ask("PATCH", f"/agents/{agent}", {"action": "pause"}).json()["agent"]
    resumed = scene.eve.ask("PATCH", f"/agents/{agent}", {"action": "resume"}).json()["agent"]
    assert (paused["status"], resumed["status"] != "paused", resumed["wants"]) == ("paused", True, "items 1")
    assert scene.eve.ask("PATCH", f"/agents/{agent}", {"action": "dance"}).status_code == 422
    removed = scene.eve.ask("DELETE", f"/agents/{agent}")
    assert (removed.status_code, removed.json()) == (200, {"message": "Agent removed from room"})
    gone = scene.nobody.read(f"/agents/{agent}")["agent"]
    assert (gone["status"], gone["leftReason"]) == ("left", "user_removed")
    assert scene.eve.ask("DELETE", "/agents/agent_nothing").status_code == 404
    mine = scene.eve.read("/agents/my?present=false")["agents"]
    assert agent in [one["id"] for one in mine]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"maxPrice": 4_817.23}, "maxPrice"),
        ({"startingPrice": 41}, "startingPrice"),
        ({"name": "Another"}, "name"),
        ({"strategy": "patient"}, "strategy"),
        ({"wants": {"kind": "items", "tokenIds": ["7"]}}, "wants"),
    ],
)
def test_what_is_spawned_must_be_what_was_signed(scene: Scene, changed: dict[str, Any], says: str) -> None:
    draft = scene.ada.made("/agents/mandate", buyer(scene.room))
    signed = {"mandateId": draft["mandateId"], "signature": scene.ada.sign(draft["typedData"])}
    answer = scene.ada.ask("POST", "/agents/spawn", {**buyer(scene.room), **changed, **signed})
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True)
    assert b"4817" not in answer.content


def test_a_mandate_is_spawned_by_its_own_wallet_with_its_own_signature(scene: Scene) -> None:
    asked = buyer(scene.room)
    draft = scene.ada.made("/agents/mandate", asked)
    foreign = {"mandateId": draft["mandateId"], "signature": scene.eve.sign(draft["typedData"])}
    assert scene.eve.ask("POST", "/agents/spawn", {**asked, **foreign}).status_code == 404
    refused = scene.ada.ask("POST", "/agents/spawn", {**asked, **foreign})
    assert (refused.status_code, refused.json()["code"]) == (409, "refused")
    assert scene.nobody.ask("POST", "/agents/spawn", {**asked, **foreign}).status_code == 401
    assert scene.nobody.ask("POST", "/agents/mandate", asked).status_code == 401


def test_a_seller_owns_what_it_sells(scene: Scene) -> None:
    sold = scene.bob.ask("POST", "/agents/mandate", seller(scene.room, scene.item))
    assert (sold.status_code, sold.json()["code"]) == (403, "not_owner")
    unknown = scene.bob.ask("POST", "/agents/mandate", seller(scene.room, "nft_nothing"))
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"role": "seller", "nftId": None},
        {"role": "seller", "nftId": "nft_x", "minPrice": None},
        {"minPrice": 3},
        {"nftId": "nft_x"},
        {"maxPrice": None},
        {"maxPrice": 4817.235},
        {"maxPrice": "4817.2e1"},
        {"maxPrice": -4817.23},
        {"maxPrice": True},
        {"maxPrice": 0},
        {"maxPrice": "48172300000000000000000"},
        {"startingPrice": None},
        {"strategy": "lucky"},
        {"wants": {"kind": "items", "tokenIds": ["x"]}},
        {"wants": {"kind": "traits", "traits": {"a\u202e": "b"}}},
        {"name": ""},
        {"avatar": "x" * 11},
        {"expiresInSeconds": 0},
        {"expiresInSeconds": 31_000_000},
        {"limit": 1},
    ],
)
def test_what_cannot_be_an_agent_is_refused_without_repeating_a_limit(scene: Scene, asked: dict[str, Any]) -> None:
    answer = scene.ada.ask("POST", "/agents/mandate", {**buyer(scene.room), **asked})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert b"4817" not in answer.content


def test_a_mandate_that_breaks_a_rule_is_refused_without_a_value(scene: Scene) -> None:
    answer = scene.ada.ask("POST", "/agents/mandate", {**buyer(scene.room), "maxPrice": 11.37, "startingPrice": 48.17})
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert "starts at or below its limit" in answer.json()["detail"]
    assert b"11.37" not in answer.content
    assert b"48.17" not in answer.content


def test_a_portfolio_is_what_the_chain_and_ones_deals_say(scene: Scene) -> None:
    ada = scene.ada.read("/me/portfolio")["portfolio"]
    bob = scene.bob.read("/me/portfolio")["portfolio"]
    price = int(scene.nobody.read(f"/deals/{scene.deal}")["deal"]["finalPriceMicros"])
    assert scene.item in [one["id"] for one in ada["nfts"]]
    assert scene.item not in [one["id"] for one in bob["nfts"]]
    assert (ada["realised"]["bought"], ada["realised"]["resultMicros"]) == (1, str(-price))
    assert (bob["realised"]["sold"], bob["realised"]["resultMicros"]) == (1, str(price))
    assert ada["committed"]["totalMicros"] == "0"
    waiting = scene.ada.spawn(buyer(scene.room, wants={"kind": "items", "tokenIds": ["1"]}))
    promised = scene.ada.read("/me/portfolio")["portfolio"]["committed"]
    assert (promised["byMandates"], promised["total"]) == (90.17, 90.17)
    board = scene.ada.read("/me/dashboard")["dashboard"]
    assert [one["id"] for one in board["activeAgents"]] == [waiting["id"]]
    assert (board["metrics"]["agentsWithDeal"], board["metrics"]["dealsCompleted"]) == (1, 1)
    assert [one["id"] for one in board["recentDeals"]] == [scene.deal]
    assert scene.ada.ask("DELETE", f"/agents/{waiting['id']}").status_code == 200


def test_a_user_spawns_so_many_agents_an_hour(scene: Scene) -> None:
    zoe = Person(scene.home, "zoe")
    zoe.made("/wallet/fund", None)
    asked = buyer(scene.room, wants={"kind": "items", "tokenIds": ["1"]})
    draft = zoe.made("/agents/mandate", asked)
    signed = {**asked, "mandateId": draft["mandateId"], "signature": zoe.sign(draft["typedData"])}
    answers = [zoe.ask("POST", "/agents/spawn", signed) for _ in range(SPAWNS + 1)]
    assert {one.json()["agent"]["id"] for one in answers[:-1]} == {answers[0].json()["agent"]["id"]}
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "rate_limited")
    assert int(answers[-1].headers["retry-after"]) > 0


def test_a_buyer_without_an_allowance_is_told_so(scene: Scene) -> None:
    pam = Person(scene.home, "pam")  # her wallet holds and allows nothing
    asked = buyer(scene.room)
    draft = pam.made("/agents/mandate", asked)
    assert draft["approvals"]["allowanceMissing"] is True
    signed = {"mandateId": draft["mandateId"], "signature": pam.sign(draft["typedData"])}
    answer = pam.ask("POST", "/agents/spawn", {**asked, **signed})
    assert (answer.status_code, answer.json()["code"]) == (409, "allowance_missing")
    assert found_in(answer.content) == []


def found_in(body: bytes) -> list[str]:
    """Which limits are in a body, in any spelling."""
    return [name for name, micros in LIMITS.items() if any(one in body.lower() for one in spelled(micros))]


def spelled(micros: int) -> list[bytes]:
    """An amount as it may be written."""
    raw = micros.to_bytes(32, "big")
    texts = [f"{micros / 1_000_000:.2f}", str(micros), f"0x{micros:x}", raw.hex(), base64.b64encode(raw).decode()]
    return [text.lower().encode() for text in texts]


def test_the_search_for_limits_finds_what_is_there() -> None:
    for text in (b"90.17", b'"90170000"', b"0x" + (90_170_000).to_bytes(32, "big").hex().encode()):
        assert found_in(msgspec.json.encode({"x": text.decode()})) == ["9017"]


def test_the_history_of_an_agent_is_read_in_pages(scene: Scene) -> None:
    agent = scene.buyer["id"]
    times = [1_795_341_600_000, 1_795_341_900_001]
    with connect(scene.home.running.dsn, JOBS) as connection:
        for at_ms, savings in zip(times, (None, 1_250_000), strict=True):
            row = [agent, at_ms, 12, 1, 0, savings, None]
            connection.execute("INSERT INTO agent_history VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
    page = scene.nobody.read(f"/agents/{agent}/history?limit=1")
    rest = scene.nobody.read(f"/agents/{agent}/history?after={page['nextAfter']}")
    assert [one["at"] for one in page["points"] + rest["points"]] == list(map(iso, times))
    assert rest["points"][0] == {
        "at": "2026-11-22T10:05:00.001Z",
        "messages": 12,
        "dealsCompleted": 1,
        "dealsFailed": 0,
        "savings": 1.25,
        "savingsMicros": "1250000",
        "earnings": None,
        "earningsMicros": None,
    }
    seller = scene.seller["id"]
    assert scene.nobody.read(f"/agents/{seller}/history") == {"points": [], "nextAfter": None}
