"""The JSON-RPC that ARK's Mainsail speaks, over any engine: what it refuses is refused here too.

No batches, no filters or logs, no `pending`, no typed transactions; exact parameters; state at the head alone,
whatever the tag; a failed call without its data. The devnet's own methods, `devnet_setTime`, `devnet_mine` and
`devnet_copy`, are there only when the node can be told what to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import cast

import msgspec

from agentrooms.chain.devnet import schema
from agentrooms.chain.devnet.engine import (
    BLOCK_GAS_LIMIT,
    GAS_PRICE_MIN_WEI,
    TX_GAS_MAX,
    Block,
    Call,
    EngineError,
    Receipt,
    Reverted,
    Transaction,
)
from agentrooms.chain.devnet.node import Controlled, Node
from agentrooms.domain.eip712 import ZERO_ADDRESS, keccak
from agentrooms.errors import AgentroomsError

PAYLOAD_MAX_BYTES = 100 * 1024
BRACKETS_MAX = 100  # of a request, so its depth is bounded too: the decoder falls over one of 50,000
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
SERVER_ERROR = -32000
JSON_TYPE = ("content-type", "application/json")
COPY = ".copy"  # added to the name of the chain's file
EMPTY_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
REQUEST_KEYS = {"jsonrpc", "id", "method", "params"}

Json = Mapping[str, object]


class Answer(msgspec.Struct, frozen=True):
    """What goes back over HTTP."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (JSON_TYPE,)


class RpcError(AgentroomsError):
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Method(msgspec.Struct, frozen=True):
    """What a method takes and does."""

    checks: tuple[schema.Check, ...]
    run: Callable[..., object]


class Dispatcher:
    """Answers one request after another, whichever threads ask; `control` offers the devnet's own methods."""

    def __init__(self, node: Node, control: Controlled | None = None) -> None:
        self._node = node
        self._engine = node.engine
        self._control = control
        self._now_ms = 0
        self._lock = threading.Lock()  # engines are for one thread at a time
        self.methods = self._methods()

    def post(self, body: bytes, client: str = "") -> Answer:
        """Answers the body of one HTTP POST; whatever comes in, an answer or an error of JSON-RPC goes out."""
        if len(body) > PAYLOAD_MAX_BYTES:
            return Answer(413, b'{"statusCode":413,"error":"Request Entity Too Large","message":"payload too large"}')
        identity: object = None
        try:
            request = _request(body)
            identity = request["id"]
            with self._lock:
                return _answer(identity, result=self._result(request))
        except RpcError as error:
            return _answer(identity, error={"code": error.code, "message": str(error)})

    def _result(self, request: Json) -> object:
        method = self.methods.get(cast("str", request["method"]))
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"the method {ascii(request['method'])[: schema.SHOWN]} does not exist")
        try:
            values = schema.params(cast("list[object]", request["params"]), method.checks)
            self._now_ms = self._node.now_ms()
            return method.run(*values)
        except schema.InvalidParams as error:
            raise RpcError(INVALID_PARAMS, str(error)) from error
        except Reverted as error:
            raise RpcError(SERVER_ERROR, "execution reverted") from error
        except EngineError as error:
            raise RpcError(SERVER_ERROR, str(error)) from error

    def _methods(self) -> dict[str, Method]:
        engine = self._engine
        found = {
            "eth_blockNumber": Method((), lambda: hex(engine.head().number)),
            "eth_call": Method((schema.message("to", "data"), schema.tag_or_number), self._call),
            "eth_chainId": Method((), lambda: hex(engine.genesis.chain_id)),
            "eth_estimateGas": Method((schema.message("from"),), self._estimate),
            "eth_gasPrice": Method((), lambda: hex(GAS_PRICE_MIN_WEI)),
            "eth_getBalance": Method((schema.address, schema.tag_or_number), lambda who, _: hex(engine.balance(who))),
            "eth_getBlockByHash": Method(
                (schema.hash32, schema.flag), lambda which, full: self._block(which, full=full)
            ),
            "eth_getBlockByNumber": Method(
                (schema.block_number, schema.flag), lambda which, full: self._block(which, full=full)
            ),
            "eth_getBlockTransactionCountByHash": Method((schema.hash32,), self._count),
            "eth_getBlockTransactionCountByNumber": Method((schema.block_number,), self._count),
            "eth_getCode": Method((schema.address, schema.tag_or_number), lambda who, _: _hex(engine.code(who))),
            "eth_getStorageAt": Method(
                (schema.address, schema.quantity, schema.tag_or_number),
                lambda who, slot, _: _hex(engine.storage(who, slot)),
            ),
            "eth_getTransactionByBlockHashAndIndex": Method((schema.hash32, schema.quantity), self._transaction_at),
            "eth_getTransactionByBlockNumberAndIndex": Method(
                (schema.block_number, schema.quantity), self._transaction_at
            ),
            "eth_getTransactionByHash": Method((schema.hash32,), self._transaction),
            "eth_getTransactionCount": Method((schema.address, schema.tag), lambda who, _: hex(engine.nonce(who))),
            "eth_getTransactionReceipt": Method((schema.hash32,), self._receipt),
            "eth_getUncleByBlockHashAndIndex": Method((schema.hash32, schema.quantity), lambda *_: None),
            "eth_getUncleByBlockNumberAndIndex": Method((schema.block_number, schema.quantity), lambda *_: None),
            "eth_getUncleCountByBlockHash": Method((schema.hash32,), lambda _: "0x0"),
            "eth_getUncleCountByBlockNumber": Method((schema.block_number,), lambda _: "0x0"),
            "eth_sendRawTransaction": Method((schema.data,), self._node.send),
            "net_listening": Method((), lambda: True),
            "net_peerCount": Method((), lambda: "0x0"),
            "net_version": Method((), lambda: str(engine.genesis.chain_id)),
            "web3_clientVersion": Method((), lambda: f"agentrooms/{metadata.version('agentrooms')}"),
            "web3_sha3": Method((schema.data,), lambda data: _hex(keccak(data))),
        }
        if self._control is not None:
            found["devnet_setTime"] = Method((schema.milliseconds,), self._control.set_time)
            found["devnet_mine"] = Method((), self._mine)
            found["devnet_copy"] = Method((), self._copy)
        return found

    def _call(self, message: Json, _tag: object) -> str:
        return _hex(self._engine.call(_message(message, BLOCK_GAS_LIMIT), self._now_ms))

    def _estimate(self, message: Json) -> str:
        return hex(self._engine.estimate(_message(message, TX_GAS_MAX), self._now_ms))

    def _mine(self) -> Json:
        assert self._control is not None
        return self._block_json(self._control.mine(), full=False)

    def _copy(self) -> str:
        """Copies the chain beside its own file and returns where; blocks are mined before or after."""
        path = self._engine.path
        if path is None:
            raise EngineError("the chain is in memory and has no file to copy it beside")
        copy = path.absolute().with_name(path.name + COPY)
        self._engine.copy(copy)
        return str(copy)

    def _found(self, which: str | int) -> Block | None:
        if isinstance(which, int):
            return self._engine.block(which) if which <= self._engine.head().number else None
        return self._engine.head() if which in schema.TAGS else self._engine.block_by_hash(which)

    def _block(self, which: str | int, *, full: bool) -> Json | None:
        block = self._found(which)
        return None if block is None else self._block_json(block, full=full)

    def _count(self, which: str | int) -> str | None:
        block = self._found(which)
        return None if block is None else hex(len(block.transactions))

    def _transaction_at(self, which: str | int, index: int) -> Json | None:
        block = self._found(which)
        return (
            None if block is None or index >= len(block.transactions) else self._transaction(block.transactions[index])
        )

    def _transaction(self, transaction_hash: str) -> Json | None:
        transaction, receipt = self._engine.transaction(transaction_hash), self._engine.receipt(transaction_hash)
        return None if transaction is None or receipt is None else _transaction_json(transaction, receipt)

    def _receipt(self, transaction_hash: str) -> Json | None:
        receipt = self._engine.receipt(transaction_hash)
        return None if receipt is None else _receipt_json(receipt)

    def _block_json(self, block: Block, *, full: bool) -> Json:
        return {
            "number": hex(block.number),
            "hash": block.hash,
            "parentHash": block.parent_hash,
            "nonce": "0x0000000000000000",
            "sha3Uncles": EMPTY_UNCLES,
            "logsBloom": block.logs_bloom,
            "transactionsRoot": block.transactions_root,
            "stateRoot": block.state_root,
            "receiptsRoot": block.receipts_root,
            "miner": block.miner,
            "difficulty": "0x0",
            "totalDifficulty": "0x0",
            "extraData": "0x",
            "size": "0x0",
            "gasLimit": hex(block.gas_limit),
            "gasUsed": hex(block.gas_used),
            "timestamp": hex(block.timestamp_ms // self._engine.genesis.ms_per_tick),
            "baseFeePerGas": "0x0",
            "transactions": [self._transaction(one) for one in block.transactions] if full else block.transactions,
            "uncles": [],
        }


def _request(body: bytes) -> Json:
    if body.count(b"[") + body.count(b"{") > BRACKETS_MAX:
        raise RpcError(PARSE_ERROR, "not JSON of a sensible depth")
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RpcError(PARSE_ERROR, "not JSON") from error
    if not isinstance(request, dict) or request.keys() != REQUEST_KEYS or request["jsonrpc"] != "2.0":
        raise RpcError(INVALID_REQUEST, f"a request is one object of {', '.join(sorted(REQUEST_KEYS))}; no batches")
    identity = request["id"]
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        raise RpcError(INVALID_REQUEST, "an id is a string or a whole number")
    if not isinstance(request["method"], str) or not isinstance(request["params"], list):
        raise RpcError(INVALID_REQUEST, "a method is a string and its parameters are an array")
    return request


def _answer(identity: object, **outcome: object) -> Answer:
    return Answer(200, msgspec.json.encode({"jsonrpc": "2.0", "id": identity, **outcome}))


def _message(given: Json, gas_max: int) -> Call:
    return Call(
        to=cast("str | None", given.get("to")),
        data=cast("bytes", given.get("data", b"")),
        sender=cast("str", given.get("from", ZERO_ADDRESS)),
        value_wei=cast("int", given.get("value", 0)),
        gas=min(cast("int", given.get("gas", gas_max)), gas_max),
        gas_price_wei=cast("int", given.get("gasPrice", 0)),
    )


def _transaction_json(transaction: Transaction, receipt: Receipt) -> Json:
    return {
        "blockHash": receipt.block_hash,
        "blockNumber": hex(receipt.block_number),
        "transactionIndex": hex(receipt.transaction_index),
        "from": transaction.sender,
        "to": transaction.to,
        "gas": hex(transaction.gas),
        "gasPrice": hex(transaction.gas_price_wei),
        "hash": transaction.hash,
        "input": _hex(transaction.data),
        "nonce": hex(transaction.nonce),
        "value": hex(transaction.value_wei),
        "type": "0x0",
        "v": hex(transaction.v),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }


def _receipt_json(receipt: Receipt) -> Json:
    """Logs are as the EVM gives them: no index, no block."""
    return {
        "transactionHash": receipt.transaction_hash,
        "transactionIndex": hex(receipt.transaction_index),
        "blockHash": receipt.block_hash,
        "blockNumber": hex(receipt.block_number),
        "from": receipt.sender,
        "to": receipt.to,
        "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
        "gasUsed": hex(receipt.gas_used),
        "effectiveGasPrice": hex(receipt.effective_gas_price_wei),
        "contractAddress": receipt.contract_address,
        "logs": [{"address": log.address, "topics": log.topics, "data": log.data} for log in receipt.logs],
        "logsBloom": receipt.logs_bloom,
        "type": "0x0",
        "status": "0x1" if receipt.succeeded else "0x0",
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
