"""The commands against a running system: one system for all of them, which trades all the while."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import redis

from agentrooms.actors.progress_board import Shown
from agentrooms.domain.progress import at_percent
from agentrooms.live.access import RUNNING, Running
from agentrooms.live.survey import ALWAYS, START_S, survey
from tests.cli.commands import AGENTROOMS, agentrooms, document, environment, said
from tests.cli.system import Up, up, wait_for
from tests.cli.test_up import on_terminal
from tests.cli.test_usage import check_lines

pytestmark = pytest.mark.xdist_group("up")

LIMITS = ("12.34", "43.21")  # of seller and buyer; such amounts stand nowhere else
ASKED = "Asking the system running in "


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running system, which the commands of this module find by AGENTROOMS_DATA."""
    with (
        up(tmp_path_factory.mktemp("live"), "--speed", "10", "--seed", "7") as started,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AGENTROOMS_DATA", str(started.data))
        started.until(" joins and ")
        yield started
        assert started.process.poll() is None, started.tell()


@pytest.fixture(scope="module")
def where(live: Up) -> Running:
    """Where the parts of the system are."""
    return msgspec.json.decode((live.data / RUNNING).read_bytes(), type=Running)


@pytest.fixture(scope="module")
def sold(live: Up) -> dict[str, str]:
    """A room in which a seller and a buyer have traded: ids of room, seller, buyer, deal, and what a watcher saw."""
    assert live.process.poll() is None
    room = document("room", "create", "Two only", "--round-ms", 50)["room"]
    seller = _spawn(room, "seller", "12.34", "20", "--for-rounds", "9000", "--name", "Ann[bold] 🦊")
    buyer = _spawn(room, "buyer", "43.21", "30.5", "--for-rounds", "9000", "--style", "casual", "--wants", "any")
    watching = subprocess.Popen(
        [AGENTROOMS, "room", "watch", room, "--for", "120"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )
    stop = threading.Timer(110, watching.kill)
    stop.start()
    try:
        assert watching.stdout is not None
        seen = ""
        for line in watching.stdout:
            seen += line
            if "✔ done: " in line:
                break
        sessions = _sessions(live)
        watching.send_signal(signal.SIGINT)
        rest, told = watching.communicate(timeout=30)
    finally:
        stop.cancel()
        watching.kill()
    assert watching.returncode == 0, told
    assert "✔ done: " in seen, seen + told
    assert "the room goes on" in told
    assert [session["roomId"] for session in sessions] == [room]
    assert _sessions(live) == []
    wait_for(lambda: document("room", "show", room)["deals_completed"] == 1)
    deal = document("deal", "list", "--room", room)[0]["deal"]
    return {"room": room, "seller": seller, "buyer": buyer, "deal": deal, "seen": seen + rest}


def _spawn(room: str, role: str, limit: str, start: str, *more: str) -> str:
    made = document("agent", "spawn", "--room", room, "--role", role, "--limit", limit, "--start", start, *more)
    assert set(made) == {"agent", "room", "name", "token_id"}
    return str(made["agent"])


def _sessions(live: Up) -> list[dict[str, str]]:
    found = msgspec.json.decode((live.data / RUNNING).read_bytes(), type=Running)
    with redis.Redis.from_url(found.redis_url, decode_responses=True) as client:
        return [client.hgetall(key) for key in client.scan_iter("ws:session:*")]


# --- Rooms, agents, deals -------------------------------------------------------------------------------


def test_a_watcher_sees_a_sale_from_the_first_word_to_the_escrow(sold: dict[str, str]) -> None:
    for what in (" joins and sells ", " joins and wants any item", "● locked: ", "●● verified: ", "✔ done: "):
        assert what in sold["seen"]
    assert "Ann[bold] 🦊" in sold["seen"]
    assert "\x1b" not in sold["seen"]


def test_a_deal_shows_what_proves_it(sold: dict[str, str]) -> None:
    deal = document("deal", "show", sold["deal"][:11])
    assert deal["state"] == "completed"
    assert (deal["buyer"], deal["seller"], deal["room"]) == (sold["buyer"], sold["seller"], sold["room"])
    assert {vote["decision"] for vote in deal["votes"]} == {"approve"}  # of five at least: a slow one is not waited for
    text, told = said("deal", "show", sold["deal"])
    assert (deal["wrong"], deal["unchecked"]) == ([], [])
    assert (deal["stage"], deal["percent"]) == ("confirmation", 100)
    assert {party["mandate"] for party in deal["parties"]} == {None}
    opened = document("deal", "show", sold["deal"], "--secrets")["parties"]
    assert [party["mandate"]["reservation_usdc_micros"] for party in opened] == [43_210_000, 12_340_000]
    for part in (
        deal["tx_hash"],
        deal["deal_hash"],
        f"{deal['block']} (",
        f"{len(deal['votes'])} for, 0 against",
        "verifier_7",
    ):
        assert part in text
    for state in ("locked", "verifying", "certified", "sent to the escrow", "completed"):
        assert f"\n {state}" in text
    assert told.startswith(ASKED)
    assert sold["deal"] in said("deal", "list")[0]


def test_how_far_deals_are_goes_out_while_they_are_settled(live: Up, where: Running) -> None:
    assert live.process.poll() is None
    with redis.Redis.from_url(where.redis_url, decode_responses=True) as client, client.pubsub() as heard:
        heard.psubscribe("room:*:progress")
        told: list[Shown] = []

        def listen() -> bool:
            message = heard.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                told.append(msgspec.json.decode(message["data"], type=Shown))
            return bool(told)

        document("swarm", "run", "small_test", "--live", "--speed", "max")
        wait_for(listen)
    assert 0 < told[0].percent < 100
    assert told[0].stage is at_percent(told[0].percent)


def test_an_agent_shows_how_well_it_did_and_to_nobody_its_limit(sold: dict[str, str]) -> None:
    assert "is not there any more: sold." in said("agent", "remove", sold["seller"])[0]
    for side, gain in (("seller", "earnings"), ("buyer", "savings")):
        shown = document("agent", "show", sold[side])
        assert shown["performance"]["deals_completed"] == 1
        assert shown["performance"][f"{gain}_usdc_micros"] is not None
        assert [deal["deal"] for deal in shown["deals"]] == [sold["deal"]]
        assert gain.capitalize() in said("agent", "show", sold[side])[0]
    texts = [
        *(said("agent", "show", sold[side], *how)[0] for side in ("seller", "buyer") for how in ((), ("--json",))),
        *(said("agent", "list", "--all", *how)[0] for how in ((), ("--json",))),
        *(said("deal", "show", sold["deal"], *how)[0] for how in ((), ("--json",))),
        *(said("room", "show", sold["room"], *how)[0] for how in ((), ("--json",))),
        said("status", "--json")[0],
        sold["seen"],
    ]
    for text in texts:
        for limit in LIMITS:
            assert limit not in text
            assert f"{limit.replace('.', '')}0000" not in text


def test_a_room_shows_its_figures(sold: dict[str, str]) -> None:
    shown = document("room", "show", sold["room"])
    assert (shown["name"], shown["round_ms"], shown["status"]) == ("Two only", 50, "active")
    assert shown["statistics"]["deals_completed"] == 1
    assert shown["present"] == []
    text, _told = said("room", "show", sold["room"])
    assert "1 completed, 0 failed" in text
    assert "100.0 % of those that ended" in text
    assert sold["room"] in said("room", "list")[0]


def test_an_agent_falls_silent_speaks_again_and_goes(sold: dict[str, str]) -> None:
    agent = _spawn(sold["room"], "buyer", "20", "10", "--for-rounds", "5000", "--wants", "grade=zombie")
    assert document("agent", "pause", agent)["status"] == "paused"
    assert agent in [one["agent"] for one in document("agent", "list", "--room", sold["room"])]
    assert document("agent", "resume", agent)["status"] != "paused"
    assert document("agent", "remove", agent) == {"agent": agent, "room": sold["room"], "status": "left"}
    assert agent not in said("agent", "list", "--room", sold["room"])[0]
    assert "user removed" in said("agent", "list", "--room", sold["room"], "--all")[0]
    assert "cannot be paused" in complaint(said("agent", "pause", agent, code=1)[1])


def test_demo_wallets_have_items_to_sell(sold: dict[str, str]) -> None:
    wallets = document("db", "seed")
    assert [wallet["wallet"] for wallet in wallets] == list(range(1, 21))
    assert {len(wallet["items"]) for wallet in wallets} == {1}
    assert document("db", "seed") == wallets
    agent = _spawn(sold["room"], "seller", "70", "90", "--wallet", "3")
    shown = document("agent", "show", agent)
    assert (shown["token_id"], shown["owner"]) == (wallets[2]["items"][0], wallets[2]["address"])
    document("agent", "remove", agent)


def test_a_terminal_gets_a_screen_and_gets_its_own_back(sold: dict[str, str], live: Up) -> None:
    until = (b"Floor", b"Two only", b"completed")
    code, seen = on_terminal("room", "watch", sold["room"], until=until, AGENTROOMS_DATA=str(live.data))
    assert code == 0
    assert b"\x1b[?1049h" in seen  # the alternate screen
    assert b"\x1b[?1049l" in seen.split(b"You stopped watching")[0]
    assert b"\x1b[?25h" in seen  # the cursor is back
    assert b"Traceback" not in seen


# --- Swarms and tables ----------------------------------------------------------------------------------


def test_a_live_swarm_is_paused_resumed_paced_and_stopped(live: Up) -> None:
    assert live.process.poll() is None
    started = document("swarm", "run", "small_test", "--live", "--seed", 5, "--speed", 1)
    assert set(started) == {"swarm", "room", "agents"}
    assert started["agents"] == 5
    swarm = started["swarm"]
    wait_for(lambda: _swarm(swarm)["present"] > 0)
    assert document("swarm", "pause", swarm[:12])["status"] == "paused"
    wait_for(lambda: {a["status"] for a in document("agent", "list", "--room", started["room"])} == {"paused"})
    assert document("swarm", "resume", swarm)["status"] == "running"
    faster = document("swarm", "speed", swarm, "10x")
    assert faster == {"swarm": swarm, "room": started["room"], "status": "running", "speed": 10}
    wait_for(lambda: _pace_of(started["room"]) == 10)
    assert swarm in said("swarm", "list")[0]
    stopped = document("swarm", "stop", swarm)
    deals = stopped.pop("deals_completed")
    assert stopped == {"swarm": swarm, "room": started["room"], "status": "completed"}
    assert deals <= 2  # of two buyers; how far they came by then is the clock's affair
    assert swarm not in said("swarm", "list")[0]
    assert swarm in said("swarm", "list", "--all")[0]
    assert "is not running" in said("swarm", "pause", swarm, code=1)[1]


def _swarm(swarm: str) -> Any:
    return next(row for row in document("swarm", "list", "--all", "--limit", 1000) if row["swarm"] == swarm)


def _pace_of(room: str) -> int | None:
    return next((r["speed"] for r in document("status")["rooms"] if r["room"] == room), None)


def test_tables_are_made_anew_and_equal_while_agents_trade(live: Up, where: Running, sold: dict[str, str]) -> None:
    started = document("swarm", "run", "--buyers", 6, "--sellers", 6, "--live", "--speed", "max")
    wait_for(lambda: _swarm(started["swarm"])["messages"] > 0)
    before = document("status")["lag"]
    checked = document("projections", "check")
    assert checked == {"equal": True, "differences": []}
    with psycopg.connect(where.dsn) as connection:
        connection.execute("UPDATE read.deals SET item_name = 'another' WHERE deal = %s", [sold["deal"]])
    (difference,) = document("projections", "check", code=1)["differences"]
    assert (difference["table"], difference["only_in_a"], difference["only_in_b"]) == ("deals", 1, 1)
    rebuilt = document("projections", "rebuild")
    assert rebuilt["position"] >= before["position"]
    assert document("status")["lag"]["epoch"] == before["epoch"] + 1
    text, told = said("projections", "check")
    assert text.count(" equal") == 13
    assert "that of the system running in" in told
    assert document("deal", "show", sold["deal"])["state"] == "completed"
    assert live.process.poll() is None


# --- Status ---------------------------------------------------------------------------------------------


def test_status_says_that_all_is_well(live: Up, sold: dict[str, str]) -> None:
    wait_for(lambda: document("status")["age_s"] > START_S)
    seen = document("status")
    assert set(seen) == {
        *("well", "starting", "data", "pid", "age_s", "services", "processes", "log_head", "lag", "open_commands"),
        *("rooms", "chain", "set_version", "verifiers", "faults"),
    }
    assert seen["well"], seen["faults"]
    assert seen["pid"] == live.process.pid
    processes = {process["name"]: process for process in seen["processes"]}
    assert {*ALWAYS, f"room:{sold['room']}"} <= set(processes)
    assert len({process["health"]["pid"] for process in processes.values()}) == len(processes)
    assert {service["name"]: service["answers"] for service in seen["services"]} == {
        "Postgres": True,
        "Redis": True,
        "Ray": True,
    }
    assert "Two only" in {room["name"] for room in seen["rooms"]}
    text, told = said("status")
    assert "All is well: " in text.splitlines()[-1]
    assert told.startswith(ASKED)


def test_status_shows_the_chain_and_who_attests(sold: dict[str, str]) -> None:
    seen = document("status")
    chain, deal = seen["chain"], document("deal", "show", sold["deal"])
    assert (chain["mode"], chain["answers"], chain["escrow"]) == ("devnet", True, deal["terms"]["escrow"])
    assert chain["chain_id"] == deal["terms"]["chain_id"]
    assert chain["block"] >= deal["block"]
    assert chain["block_at_ms"] >= deal["settled"]["at_ms"]
    assert chain["set_version"] == seen["set_version"] == deal["certificate"]["set_version"]
    assert chain["relayer"] == deal["transactions"][0]["signer"]
    assert chain["balance_wei"] > 0
    members = [{"verifier": one["verifier"], "address": one["address"], "accused": 0} for one in deal["members"]]
    assert seen["verifiers"] == members
    text, _told = said("status")
    for part in ("devnet, id ", chain["escrow"], chain["relayer"], f"attests as {members[0]['address']}"):
        assert part in text


def test_status_names_what_does_not_answer(where: Running) -> None:
    broken = msgspec.structs.replace(where, redis_url="unix:///nowhere.sock", ray_address="127.0.0.1:1")
    faults = survey(broken).faults
    assert [fault.partition(":")[0] for fault in faults] == ["Redis", "Ray"]
    blind = survey(msgspec.structs.replace(where, dsn="postgresql://postgres@/postgres?host=/nowhere"))
    assert [fault.partition(":")[0] for fault in blind.faults] == ["Postgres"]
    assert blind.log_head is None
    chainless = survey(msgspec.structs.replace(where, chain_url="http://127.0.0.1:1"))
    assert [fault.partition(":")[0] for fault in chainless.faults] == ["the chain does not answer"]


# --- What cannot be -------------------------------------------------------------------------------------

SPAWN = "agent spawn --room ROOM --role"
WRONG = [
    ("room show room_0", 1, "there is no room 'room_0'", "room list"),
    ("agent show agent_", 1, "several agents begin with 'agent_': agent_", "write more"),
    ("deal show zz0", 1, "there is no deal 'zz0'", "deal list"),
    ("room create Here --collection 0xabc", 1, "'0xabc' is not an active collection", "CryptoPunks"),
    ("room create \u200b", 1, "no visible character", "letters"),
    (f"room create {'x' * 101}", 1, "name", ""),
    ("swarm run small_test --live --room ROOM --seed 9007199254740992", 2, "seed of a live swarm", "smaller"),
    (f"{SPAWN} buyer --limit 40 --start 20 --wallet 21", 2, "--wallet: 21 is not within 1 to 20", ""),
    (f"{SPAWN} buyer --limit 40 --start 20 --for-rounds 600", 1, "600 rounds of 50 ms end before", "--for-rounds 601"),
    (f"{SPAWN} seller --limit 40 --start 50 --item 99999", 1, "item '99999' is not in the sales data", "drawn"),
    ("agent pause SELLER", 1, "is done (sold_nft) and cannot be paused", ""),
]


@pytest.mark.parametrize(("line", "code", "error", "hint"), WRONG, ids=[case[0][:40] for case in WRONG])
def test_what_cannot_be_is_refused_with_a_hint(
    line: str, code: int, error: str, hint: str, sold: dict[str, str]
) -> None:
    arguments = [{"ROOM": sold["room"], "SELLER": sold["seller"]}.get(word, word) for word in line.split(" ")]
    out, told = said(*arguments, code=code)
    assert out == ""
    check_lines(complaint(told), error, hint)


def complaint(told: str) -> str:
    """Returns what was said without which system was asked, and that it took a while."""
    talk = (ASKED, "Waiting ")
    return "".join(line for line in told.splitlines(keepends=True) if not line.startswith(talk))


MISUSED = [
    ("agent spawn --room r --role buyer --limit ten --start 1", "--limit: 'ten' is not an amount of USDC", "48.50"),
    ("agent spawn --room r --role buyer --limit 0 --start 1", "--limit: '0' is not a price", "above zero"),
    ("agent spawn --room r --role buyer --limit 10 --start 11", "a buyer starts at or below", "lower --start"),
    ("agent spawn --room r --role seller --limit 10 --start 9", "a seller starts at or above", "raise --start"),
    ("agent spawn --room r --role seller --limit 1 --start 9 --max 8", "maximum is at or above", "raise --max"),
    ("agent spawn --room r --role seller --limit 1 --start 9 --wants any", "--wants is for buyers", "--item"),
    ("agent spawn --room r --role buyer --limit 9 --start 1 --item 5", "--item and --max are for sellers", "--wants"),
    ("agent spawn --room r --role buyer --limit 9 --start 1 --wants a=", "--wants: 'a=' is not what", "grade=zombie"),
    ("agent spawn --room r --role buyer --limit 9 --start 1 --wants 1,,2", "--wants: '1,,2' is not", "1234,5678"),
    ("agent spawn --room r --role maker --limit 9 --start 1", "--role", ""),
    ("room create Fast --round-ms 10", "--round-ms: 10 is not within 50 to 3600000", ""),
    ("swarm speed swarm_a 3", "1|10|max: '3' is not a speed", "1, 10 and max"),
    ("swarm run small_test --live --out runs/a", "that option is for a run of its own", "--room"),
    ("swarm run small_test --room room_a", "--room and --speed are for a live swarm", "--live"),
    ("swarm run --live", "the swarm has no size", "--buyers N"),
]


@pytest.mark.parametrize(("line", "error", "hint"), MISUSED, ids=[case[0] for case in MISUSED])
def test_what_cannot_be_meant_is_not_even_sent(line: str, error: str, hint: str) -> None:
    out, told = said(*line.split(), code=2)
    assert out == ""
    check_lines(told, error, hint)


ALL = [
    *("status", "room create A", "room list", "room show a", "room watch a", "room close a"),
    "agent spawn --room a --role buyer --limit 2 --start 1",
    *("agent list", "agent show a", "agent pause a", "agent resume a", "agent remove a"),
    *("swarm run small_test --live", "swarm list", "swarm pause a", "swarm resume a", "swarm speed a 1"),
    *("swarm stop a", "deal list", "deal show a", "db seed", "projections rebuild", "projections check"),
]


@pytest.mark.parametrize("line", ALL)
def test_without_a_running_system_a_command_says_how_to_start_one(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTROOMS_DATA", str(tmp_path / "none"))
    out, told = said(*line.split(), code=1)
    assert out == ""
    check_lines(told, f"{tmp_path / 'none'}", "`agentrooms up`")
    assert not (tmp_path / "none").exists()


# --- The end --------------------------------------------------------------------------------------------


def test_a_room_closes_and_stays_to_be_read(sold: dict[str, str]) -> None:
    staying = _spawn(sold["room"], "buyer", "20", "10", "--for-rounds", "5000")
    assert document("room", "close", sold["room"]) == {"room": sold["room"]}
    assert document("agent", "show", staying)["left_reason"] == "room_closed"
    assert sold["room"] not in said("room", "list")[0]
    closed = next(room for room in document("room", "list", "--all", "--limit", 1000) if room["room"] == sold["room"])
    assert closed["status"] == "inactive"
    done = agentrooms("room", "watch", sold["room"], env=environment())
    assert "The room has closed: 1 deal for " in done.stdout
    assert "no open room" in said("room", "close", sold["room"], code=1)[1]


def test_a_live_room_is_exported_verified_and_executed_again(sold: dict[str, str], tmp_path: Path) -> None:
    """Sealed, with what could not be checked named; opened, to the byte; by commands alone."""
    room = f"room:{sold['room']}"
    agentrooms("export", room, "--out", tmp_path / "sealed")
    assert "not checked: limits" in agentrooms("verify", tmp_path / "sealed").stdout
    agentrooms("export", room, "--open-limits", "--out", tmp_path / "opened")
    assert "come out again to the byte" in agentrooms("verify", tmp_path / "opened", "--re-execute").stdout


def test_a_backup_of_a_running_system_goes_on_and_verifies_where_it_is_restored(
    sold: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same room comes out of the restored installation, signed by the same key, and executes again.

    Its deal is on the restored chain, where the next one settles. Each command says whose database it talks to.
    """
    data = tmp_path / ".agentrooms"
    running, own = "Postgres: that of the system running in ", f"Postgres: started for this command in {tmp_path}"
    room = f"room:{sold['room']}"
    assert running in agentrooms("export", room, "--to", 12, "--open-limits", "--out", tmp_path / "before").stderr
    assert running in agentrooms("backup", "--out", tmp_path / "backup.tar").stderr
    restored = agentrooms("restore", tmp_path / "backup.tar", "--data", data)
    assert f"Postgres: a new one in {tmp_path}" in restored.stderr
    monkeypatch.setenv("AGENTROOMS_DATA", str(data))
    assert own in agentrooms("export", room, "--to", 12, "--open-limits", "--out", tmp_path / "after").stderr
    names = {path.name for path in (tmp_path / "before").iterdir()}
    assert names == {"events.ndjson", "manifest.json", "vault.ndjson"}
    assert all((tmp_path / "before" / n).read_bytes() == (tmp_path / "after" / n).read_bytes() for n in names)
    assert "come out again to the byte" in agentrooms("verify", tmp_path / "after", "--re-execute").stdout
    with up(tmp_path, "--seed", "9") as again:
        wait_for((data / RUNNING).exists, again.tell)
        node = msgspec.json.decode((data / RUNNING).read_bytes(), type=Running).chain_url
        agentrooms("export", room, "--open-limits", "--out", tmp_path / "whole")
        verified = agentrooms("verify", tmp_path / "whole", "--rpc", node).stdout
        assert "passed" in verified
        assert "--rpc" not in verified  # what it would be named for if the chain had not been asked
        again.until(" joins and ")
        room = document("room", "create", "After", "--round-ms", 50)["room"]
        wait_for(lambda: room in {one["room"] for one in document("room", "list")}, again.tell)
        _spawn(room, "seller", "10", "20", "--for-rounds", "9000")
        _spawn(room, "buyer", "40", "30", "--for-rounds", "9000", "--wants", "any")
        wait_for(lambda: document("room", "show", room)["deals_completed"] == 1, again.tell)
