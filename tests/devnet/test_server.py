"""The devnet as a process: it serves, it ends with its parent, and no kill costs it a block or leaves half of one."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from agentrooms.chain.devnet.engine import CHAIN_ID, DEPLOYER_KEY, START_MS, EngineUnusable
from agentrooms.chain.devnet.process import DevnetProcess
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.domain.secp256k1 import address_of
from agentrooms.services.listening import listening
from tests.devnet.contracts import KEEPER, deployed, done, signed, word
from tests.devnet.engines import ENGINES, make_engine
from tests.devnet.processes import GONE_TIMEOUT_S, gone

DEPLOYER, NOBODY = address_of(DEPLOYER_KEY), "0x" + "11" * 20
KILLS = 4
COPIES = 4


def ask(http: httpx.Client, method: str, *params: object) -> Any:
    answer = http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
    return answer["result"]


@pytest.mark.parametrize(("engine_kind", "mode"), [("pyevm", "live"), ("anvil", "command")])
def test_a_server_serves_its_chain_and_stops(tmp_path: Path, engine_kind: str, mode: str) -> None:
    make_engine(engine_kind).close()  # skips when there is none
    path, log = tmp_path / "chain", tmp_path / "log"
    reference = PyEvm()
    raw = "0x" + signed(reference, NOBODY, value=5, gas=21_000).hex()
    options = ("--path", str(path), "--mode", mode, "--engine", engine_kind)
    server = DevnetProcess(log, *options)
    try:
        assert server.devnet.chain_id == CHAIN_ID
        with httpx.Client(base_url=server.url, timeout=GONE_TIMEOUT_S) as http:
            transaction_hash = ask(http, "eth_sendRawTransaction", raw)
            if mode == "command":
                ask(http, "devnet_setTime", START_MS + 1)
                ask(http, "devnet_mine")
            assert ask(http, "eth_getTransactionReceipt", transaction_hash)["status"] == "0x1"
    finally:
        server.stop()
    assert not psutil.pid_exists(server.pid)
    engine = make_engine(engine_kind, path)
    assert engine.balance(NOBODY) == 5
    engine.close()
    assert log.read_text() == ""


def test_a_chain_is_served_by_one_process(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    server = DevnetProcess(tmp_path / "log", "--path", str(path))
    try:
        with pytest.raises(EngineUnusable, match="cannot be used: database is locked"):
            DevnetProcess(tmp_path / "second", "--path", str(path))
    finally:
        server.stop()


def test_a_port_that_is_taken_is_an_error_in_words(tmp_path: Path) -> None:
    with listening("127.0.0.1", 0) as taken:
        assert taken.proto == socket.IPPROTO_TCP  # for which asyncio sends answers at once
        with pytest.raises(EngineUnusable, match=r"port .* cannot be used"):
            DevnetProcess(tmp_path / "log", "--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize(("engine_kind", "kill"), [("pyevm", True), ("anvil", True), ("anvil", False)])
def test_a_server_and_its_anvil_end_with_whoever_started_them(tmp_path: Path, engine_kind: str, kill: bool) -> None:
    make_engine(engine_kind).close()
    program = (
        "import sys, time; from pathlib import Path; from agentrooms.chain.devnet.process import DevnetProcess\n"
        f"server = DevnetProcess(Path({str(tmp_path / 'log')!r}), '--engine', {engine_kind!r})\n"
        "print(server.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    family = [server, *server.children(recursive=True)]
    folders = [Path(one.cmdline()[-1]).parent for one in family if one.name() == "anvil"]
    assert [folder.is_dir() for folder in folders] == [True] * (engine_kind == "anvil")
    if kill:
        parent.kill()
    else:
        server.send_signal(signal.SIGKILL)  # the server dies, then what it started must
    assert all(gone(one) for one in family)
    assert not any(folder.exists() for folder in folders)
    parent.kill()
    parent.wait()
    parent.stdout.close()


def check_whole(path: Path, keeper: str, known: dict[int, str], engine_kind: str = "pyevm") -> None:
    """Checks that the chain has all that was answered, and that blocks, receipts and state agree to the last one."""
    chain = make_engine(engine_kind, path)
    sent = chain.nonce(DEPLOYER)
    assert sent - 1 >= max(known)
    block, mined = chain.head(), list[str]()
    while block.number > 0:
        for transaction_hash in block.transactions:
            receipt = chain.receipt(transaction_hash)
            assert receipt is not None
            assert (receipt.block_hash, receipt.succeeded) == (block.hash, True)
            mined.append(transaction_hash)
        parent = chain.block(block.number - 1)
        assert parent is not None
        assert block.parent_hash == parent.hash
        block = parent
    mined.reverse()
    assert len(mined) == sent
    assert {nonce: mined[nonce] for nonce in known} == known
    assert chain.storage(keeper, 0) == word(sent - 1)
    chain.close()


def test_no_kill_costs_a_block_or_leaves_half_of_one(tmp_path: Path) -> None:
    """Kills the server after a number of answers, while the next transactions are on their way."""
    path = tmp_path / "chain"
    chain = PyEvm(path)
    keeper = deployed(chain, KEEPER)
    chain.close()
    reference = PyEvm()
    deployed(reference, KEEPER)
    raws = ["0x" + signed(reference, keeper, word(nonce), nonce=nonce).hex() for nonce in range(1, 1000)]
    known: dict[int, str] = {}
    for kill in range(KILLS):
        server = DevnetProcess(tmp_path / "log", "--path", str(path))
        answered = threading.Event()
        enough = len(known) + 1 + 3 * kill % 5

        def send(url: str = server.url, answered: threading.Event = answered, enough: int = enough) -> None:
            with httpx.Client(base_url=url, timeout=GONE_TIMEOUT_S) as http, contextlib.suppress(httpx.TransportError):
                nonce = int(ask(http, "eth_getTransactionCount", DEPLOYER, "latest"), 16)
                while True:
                    transaction_hash = ask(http, "eth_sendRawTransaction", raws[nonce - 1])
                    known[nonce] = transaction_hash
                    nonce += 1
                    if len(known) >= enough:
                        answered.set()

        sender = threading.Thread(target=send)
        sender.start()
        assert answered.wait(GONE_TIMEOUT_S)
        server.kill()
        sender.join()
        check_whole(path, keeper, known)
    final = PyEvm(path)
    assert done(final, signed(final, keeper, word(7))).succeeded
    final.close()


@pytest.mark.parametrize("engine_kind", ENGINES)
def test_copies_made_while_blocks_are_mined_are_whole(tmp_path: Path, engine_kind: str) -> None:
    path = tmp_path / "chain"
    chain = make_engine(engine_kind, path)
    keeper = deployed(chain, KEEPER)
    raws = ["0x" + signed(chain, keeper, word(nonce), nonce=nonce).hex() for nonce in range(1, 1000)]
    chain.close()
    known: dict[int, str] = {}
    server = DevnetProcess(tmp_path / "log", "--path", str(path), "--engine", engine_kind)
    stopping = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=GONE_TIMEOUT_S) as http:
            for nonce, raw in enumerate(raws, 1):
                if stopping.is_set():
                    return
                known[nonce] = ask(http, "eth_sendRawTransaction", raw)

    sender = threading.Thread(target=send)
    copies: list[tuple[Path, dict[int, str]]] = []
    try:
        sender.start()
        with httpx.Client(base_url=server.url, timeout=GONE_TIMEOUT_S) as http:
            while len(copies) < COPIES:
                answered = dict(known)
                copy = Path(ask(http, "devnet_copy"))
                assert copy == tmp_path / "chain.copy"
                if answered and len(answered) > len(copies[-1][1] if copies else {}):
                    copies.append((copy.replace(tmp_path / f"copy-{len(copies)}"), answered))
    finally:
        stopping.set()
        sender.join()
        server.stop()
    for copy, answered in copies:
        check_whole(copy, keeper, answered, engine_kind)
    check_whole(path, keeper, known, engine_kind)
