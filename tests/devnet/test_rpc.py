"""The JSON-RPC surface is Mainsail's: what it has, what it lacks, how strictly it reads; nothing makes it fall."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.chain.devnet.engine import (
    DEPLOYER_KEY,
    GAS_PRICE_MIN_WEI,
    RELAYER_KEY,
    START_MS,
    Engine,
)
from agentrooms.chain.devnet.node import BLOCK_MS, FOLLOWING_BLOCKS, CommandNode, LiveNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.rpc import PAYLOAD_MAX_BYTES, Dispatcher
from agentrooms.chain.devnet.transport import Asgi, InProcess
from agentrooms.domain.secp256k1 import address_of
from tests.devnet.contracts import CLOCK, KEEPER, deployed, done, init_code, signed, word

DEPLOYER, NOBODY, HASH = address_of(DEPLOYER_KEY), "0x" + "11" * 20, "0x" + "22" * 32
INVALID_PARAMS, NOT_FOUND, INVALID_REQUEST, PARSE_ERROR, SERVER_ERROR = -32602, -32601, -32600, -32700, -32000


class Client:
    """Asks a dispatcher in JSON."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def body(self, body: bytes) -> Any:
        answer = self.dispatcher.post(body)
        assert answer.status == 200
        return msgspec.json.decode(answer.body)

    def ask(self, method: str, *params: object) -> Any:
        """Returns the result."""
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = self.body(msgspec.json.encode(request))
        assert answer.keys() == {"jsonrpc", "id", "result"}, answer
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
        return answer["result"]

    def fail(self, method: str, *params: object) -> tuple[int, str]:
        """Returns the code and text of the error."""
        request = {"jsonrpc": "2.0", "id": "x", "method": method, "params": params}
        answer = self.body(msgspec.json.encode(request))
        assert answer.keys() == {"jsonrpc", "id", "error"}, answer
        assert answer["error"].keys() == {"code", "message"}  # never data
        assert answer["id"] == "x"
        return answer["error"]["code"], answer["error"]["message"]


@pytest.fixture
def node(engine: Engine) -> CommandNode:
    return CommandNode(engine)


@pytest.fixture
def client(node: CommandNode) -> Client:
    return Client(Dispatcher(node, node))


def test_a_transaction_from_sending_to_receipt(client: Client, engine: Engine) -> None:
    raw = signed(engine, None, init_code(KEEPER), gas=300_000)
    transaction_hash = client.ask("eth_sendRawTransaction", "0x" + raw.hex())
    assert client.ask("eth_getTransactionReceipt", transaction_hash) is None
    assert client.ask("eth_getTransactionByHash", transaction_hash) is None  # the pool is not shown
    assert client.ask("eth_getTransactionCount", DEPLOYER, "latest") == "0x0"
    client.ask("devnet_setTime", START_MS + 5000)
    block = client.ask("devnet_mine")
    assert (block["number"], block["timestamp"]) == ("0x1", hex(START_MS + 5000))
    assert block["transactions"] == [transaction_hash]
    assert client.ask("eth_getTransactionCount", DEPLOYER, "safe") == "0x1"
    receipt = client.ask("eth_getTransactionReceipt", transaction_hash)
    assert set(receipt) == {
        *("transactionHash", "transactionIndex", "blockHash", "blockNumber", "from", "to", "cumulativeGasUsed"),
        *("gasUsed", "effectiveGasPrice", "contractAddress", "logs", "logsBloom", "type", "status"),
    }
    assert (receipt["status"], receipt["type"], receipt["to"]) == ("0x1", "0x0", None)
    assert receipt["effectiveGasPrice"] == hex(GAS_PRICE_MIN_WEI)
    address = receipt["contractAddress"]
    assert client.ask("eth_getCode", address, "latest") == "0x" + KEEPER.hex()
    client.ask("eth_sendRawTransaction", "0x" + signed(engine, address, word(5)).hex())
    head = client.ask("devnet_mine")
    logs = client.ask("eth_getTransactionReceipt", head["transactions"][0])["logs"]
    caller = "0x" + bytes.fromhex(DEPLOYER[2:]).rjust(32, b"\0").hex()
    assert logs == [{"address": address, "topics": ["0x" + word(5).hex()], "data": caller}]  # raw: no index, no block
    assert client.ask("eth_getStorageAt", address, "0x0", "latest") == "0x" + word(5).hex()
    assert client.ask("eth_call", {"to": address, "data": "0x"}, "0x0") == "0x" + word(5).hex()  # the tag is ignored
    full = client.ask("eth_getBlockByHash", head["hash"], True)
    assert full["transactions"] == [client.ask("eth_getTransactionByHash", head["transactions"][0])]
    assert full["transactions"][0]["input"] == "0x" + word(5).hex()
    for where in (("eth_getTransactionByBlockHashAndIndex", head["hash"]),
                  ("eth_getTransactionByBlockNumberAndIndex", head["number"])):  # fmt: skip
        assert client.ask(*where, "0x0") == full["transactions"][0]
        assert client.ask(*where, "0x1") is None
    assert client.ask("eth_getBlockTransactionCountByNumber", "latest") == "0x1"
    assert client.ask("eth_getBlockTransactionCountByHash", HASH) is None


def test_facts_of_the_chain(client: Client, engine: Engine) -> None:
    assert client.ask("eth_chainId") == hex(engine.genesis.chain_id)
    assert client.ask("net_version") == str(engine.genesis.chain_id)
    assert client.ask("eth_blockNumber") == "0x0"
    assert client.ask("eth_gasPrice") == hex(GAS_PRICE_MIN_WEI)
    assert client.ask("eth_getBalance", NOBODY.upper().replace("X", "x"), "finalized") == "0x0"
    assert client.ask("eth_getBlockByNumber", "earliest", False)["baseFeePerGas"] == "0x0"
    assert client.ask("eth_getBlockByNumber", "0x9", False) is None
    assert client.ask("web3_sha3", "0x")[:10] == "0xc5d24601"
    assert client.ask("eth_estimateGas", {"from": DEPLOYER, "to": NOBODY}) == hex(21_000)
    assert client.ask("eth_getUncleCountByBlockNumber", "latest") == "0x0"
    assert client.ask("eth_getUncleByBlockHashAndIndex", HASH, "0x0") is None
    assert (client.ask("net_listening"), client.ask("net_peerCount")) == (True, "0x0")
    assert client.ask("web3_clientVersion").startswith("agentrooms/")


def test_a_failed_call_says_no_more_than_that_it_failed(client: Client, engine: Engine) -> None:
    to = deployed(engine, KEEPER)
    failed = (SERVER_ERROR, "execution reverted")
    assert client.fail("eth_call", {"to": to, "data": "0x01"}, "latest") == failed
    assert client.fail("eth_estimateGas", {"from": DEPLOYER, "to": to, "data": "0x01"}) == failed


@pytest.mark.parametrize(
    "method",
    [
        *("eth_getLogs", "eth_newFilter", "eth_subscribe", "eth_feeHistory", "eth_maxPriorityFeePerGas"),
        *("eth_syncing", "eth_accounts", "eth_sendTransaction", "debug_traceTransaction", "evm_mine", "anvil_mine", ""),
    ],
)
def test_methods_that_are_not_there(client: Client, method: str) -> None:
    assert client.fail(method)[0] == NOT_FOUND


CALL = {"to": NOBODY, "data": "0x"}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_blockNumber", [None]),
        ("eth_call", [CALL]),
        ("eth_call", [CALL, "latest", {}]),
        ("eth_call", [CALL, "pending"]),
        ("eth_call", [{"to": NOBODY}, "latest"]),
        ("eth_call", [{"data": "0x"}, "latest"]),
        ("eth_call", [{**CALL, "input": "0x"}, "latest"]),
        ("eth_call", [{**CALL, "chainId": "0x1"}, "latest"]),
        ("eth_call", [{**CALL, "data": "0x0"}, "latest"]),
        ("eth_call", [{**CALL, "gas": 21000}, "latest"]),
        ("eth_call", [{**CALL, "value": "0x00"}, "latest"]),
        ("eth_call", [{**CALL, "to": None}, "latest"]),
        ("eth_estimateGas", [{"from": DEPLOYER}, "latest"]),
        ("eth_estimateGas", [{"to": NOBODY}]),
        ("eth_getBalance", [NOBODY]),
        ("eth_getBalance", [NOBODY[:-1], "latest"]),
        ("eth_getBlockByNumber", ["pending", False]),
        ("eth_getBlockByNumber", ["0x01", False]),
        ("eth_getBlockByNumber", ["latest", "false"]),
        ("eth_getBlockByHash", [HASH + "0", False]),
        ("eth_getTransactionCount", [NOBODY, "pending"]),
        ("eth_getTransactionCount", [NOBODY, "0x0"]),
        ("eth_getTransactionReceipt", [HASH, HASH]),
        ("eth_sendRawTransaction", ["c0"]),
        ("devnet_setTime", ["0x1"]),
        ("devnet_setTime", [True]),
        ("devnet_mine", [1]),
        ("devnet_copy", ["copy"]),
    ],
)
def test_parameters_of_another_shape_are_refused(client: Client, method: str, params: list[object]) -> None:
    assert client.fail(method, *params)[0] == INVALID_PARAMS


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", PARSE_ERROR),
        (b"{", PARSE_ERROR),
        (b"\xff", PARSE_ERROR),
        (b"[" * 50_000, PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (b'[{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}]', INVALID_REQUEST),
        (b'{"jsonrpc":"1.0","id":1,"method":"eth_chainId","params":[]}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","method":"eth_chainId","params":[]}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":null,"method":"eth_chainId","params":[]}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":1,"params":[]}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[],"more":1}', INVALID_REQUEST),
    ],
)
def test_requests_of_another_shape_are_refused(client: Client, body: bytes, code: int) -> None:
    assert client.body(body)["error"]["code"] == code


def test_a_payload_is_bounded(client: Client) -> None:
    assert client.dispatcher.post(b" " * PAYLOAD_MAX_BYTES).status == 200
    assert client.dispatcher.post(b" " * (PAYLOAD_MAX_BYTES + 1)).status == 413


def test_refused_transactions_say_why_in_words(client: Client, engine: Engine) -> None:
    code, text = client.fail("eth_sendRawTransaction", "0x" + signed(engine, NOBODY, gas_price=1).hex())
    assert (code, "gas price 1 is outside" in text) == (SERVER_ERROR, True)
    assert client.fail("eth_sendRawTransaction", "0x02")[0] == SERVER_ERROR


def test_virtual_time_goes_on_only(client: Client) -> None:
    client.ask("devnet_setTime", START_MS + 10)
    assert client.fail("devnet_setTime", START_MS + 9)[0] == SERVER_ERROR
    assert client.ask("devnet_mine")["timestamp"] == hex(START_MS + 10)
    assert client.ask("devnet_mine")["timestamp"] == hex(START_MS + 11)


def test_without_control_there_are_no_devnet_methods(node: CommandNode) -> None:
    client = Client(Dispatcher(node))
    for method, *params in (["devnet_mine"], ["devnet_setTime", START_MS], ["devnet_copy"]):
        assert client.fail(str(method), *params)[0] == NOT_FOUND


def test_a_chain_in_memory_is_not_copied(client: Client) -> None:
    assert client.fail("devnet_copy") == (
        SERVER_ERROR,
        "the chain is in memory and has no file to copy it beside",
    )


def test_a_live_chain_mines_on_arrival_and_lets_confirmations_be_counted() -> None:
    engine, now = PyEvm(), [START_MS + 100_000]
    clock = deployed(engine, CLOCK)
    node = LiveNode(engine, lambda: now[0])
    client = Client(Dispatcher(node, node))
    raw = signed(engine, NOBODY, gas=21_000)
    transaction_hash = client.ask("eth_sendRawTransaction", "0x" + raw.hex())
    receipt = client.ask("eth_getTransactionReceipt", transaction_hash)
    assert client.ask("eth_getBlockByNumber", "latest", False)["timestamp"] == hex(now[0])
    number = int(receipt["blockNumber"], 16)
    for follows in range(1, FOLLOWING_BLOCKS + 3):
        now[0] += BLOCK_MS
        assert int(client.ask("eth_blockNumber"), 16) == number + min(follows, FOLLOWING_BLOCKS)
    seen = client.ask("eth_call", {"to": clock, "data": "0x"}, "latest")
    assert int(seen[2:66], 16) == now[0]  # views have the time of now, however old the head is
    now[0] = START_MS  # a clock that is set back
    client.ask("eth_sendRawTransaction", "0x" + signed(engine, NOBODY, gas=21_000).hex())
    assert client.fail("devnet_setTime", START_MS)[0] == SERVER_ERROR
    assert LiveNode(engine, lambda: START_MS)._to_follow == FOLLOWING_BLOCKS  # also after a restart


def test_the_same_answers_over_asgi_and_in_process() -> None:
    node = CommandNode(PyEvm())
    dispatcher = Dispatcher(node, node)
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    expected = {"jsonrpc": "2.0", "id": 1, "result": hex(node.engine.genesis.chain_id)}
    with httpx.Client(transport=InProcess(dispatcher), base_url="http://devnet") as sync:
        assert sync.post("/", json=request).json() == expected
        assert sync.get("/").status_code == 405

    async def both() -> list[Any]:
        found = []
        for transport in (InProcess(dispatcher), httpx.ASGITransport(Asgi(dispatcher))):
            async with httpx.AsyncClient(transport=transport, base_url="http://devnet") as client:
                found.append((await client.post("/", json=request)).json())
                assert (await client.post("/", content=b" " * (PAYLOAD_MAX_BYTES + 1))).status_code == 413
                assert (await client.get("/")).status_code == 405
        return found

    assert asyncio.run(both()) == [expected, expected]


def test_views_while_blocks_are_mined_are_of_whole_blocks() -> None:
    engine = PyEvm()
    keeper = deployed(engine, KEEPER)
    raws = ["0x" + signed(engine, keeper, word(nonce), nonce=nonce).hex() for nonce in range(1, 31)]
    client = Client(Dispatcher(LiveNode(engine, lambda: START_MS + 1)))
    seen: list[list[int]] = [[], []]

    def look(found: list[int]) -> None:
        while not found or found[-1] < 30:
            found.append(int(client.ask("eth_call", {"to": keeper, "data": "0x"}, "latest"), 16))

    threads = [threading.Thread(target=look, args=(found,), daemon=True) for found in seen]
    for thread in threads:
        thread.start()
    for raw in raws:
        client.ask("eth_sendRawTransaction", raw)
    for thread in threads:
        thread.join()
    assert all(found == sorted(found) for found in seen)
    assert int(client.ask("eth_getTransactionCount", DEPLOYER, "latest"), 16) == 31


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Client]:
    """One chain for all examples: what they do to it is part of the attack."""
    engine = PyEvm()
    node = CommandNode(engine)
    deployed(engine, KEEPER)
    done(engine, signed(engine, NOBODY, key=RELAYER_KEY, gas=21_000))
    yield Client(Dispatcher(node, node))
    engine.close()


_TEXTS = st.sampled_from(["latest", "pending", "0x", "0x0", "0x1", "0xff", NOBODY, DEPLOYER, HASH, "0x" + "f" * 64])
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | _TEXTS
_KEYS = st.sampled_from(["to", "from", "data", "value", "gas", "gasPrice", "input"])
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=2), inner, max_size=4)
)
_METHODS = [
    *sorted(Dispatcher(CommandNode(PyEvm())).methods),
    "devnet_setTime",
    "devnet_mine",
    "devnet_copy",
    "eth_getLogs",
]


@given(method=st.sampled_from(_METHODS), params=st.lists(_JSON | _TEXTS, max_size=3))
def test_any_parameters_give_an_answer(fuzzed: Client, method: str, params: list[Any]) -> None:
    request = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer = fuzzed.body(request)
    assert answer.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    assert answer["id"] == 1


@given(body=st.binary(max_size=60) | _JSON.map(msgspec.json.encode))
def test_any_bytes_give_an_answer(fuzzed: Client, body: bytes) -> None:
    assert fuzzed.body(body)["error"]["code"] in {PARSE_ERROR, INVALID_REQUEST, NOT_FOUND, INVALID_PARAMS}


@given(raw=st.binary(max_size=150), head=st.sampled_from([b"", b"\xc9", b"\xf8\x6a", b"\xf9\x01\x00", b"\x02"]))
def test_any_raw_transaction_gives_a_refusal(fuzzed: Client, raw: bytes, head: bytes) -> None:
    assert fuzzed.fail("eth_sendRawTransaction", "0x" + (head + raw).hex())[0] == SERVER_ERROR


@given(at=st.integers(0, 107), value=st.integers(0, 255))
def test_a_changed_byte_is_another_transaction_or_none(fuzzed: Client, at: int, value: int) -> None:
    raw = bytearray(signed(fuzzed.dispatcher._engine, NOBODY, nonce=10**6, gas=21_000))
    if raw[at % len(raw)] != value:
        raw[at % len(raw)] = value
        assert fuzzed.fail("eth_sendRawTransaction", "0x" + raw.hex())[0] == SERVER_ERROR
