"""A run that settled on a devnet: its archive passes offline and against a node, and each tampering is named."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from agentrooms.chain.devnet.engine import RELAYER_KEY, Genesis
from agentrooms.chain.devnet.node import CommandNode
from agentrooms.chain.devnet.process import DevnetProcess
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.rpc import Dispatcher
from agentrooms.chain.devnet.transactions import decode
from agentrooms.chain.devnet.transport import InProcess
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.wallet import sign_transaction
from agentrooms.chain.spec import ChainMode
from agentrooms.domain.canonical import canonical
from agentrooms.domain.secp256k1 import derive_secret
from agentrooms.events.vault import MemoryVault
from agentrooms.sim import archive
from agentrooms.sim.audit import audit
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset
from tests.audit import archives
from tests.audit.archives import Fields, failing, rewrite
from tests.audit.attacks import Attack, deal_lines, of_type

SETTINGS = msgspec.structs.replace(preset("balanced_market", 7), chain=ChainMode.DEVNET)
Mutate = Callable[[list[Fields]], None]


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a devnet of its own: folder `run` is its archive, `chain` the devnet's file."""
    folder = tmp_path_factory.mktemp("settled")
    memory = MemoryVault()
    evm = PyEvm(folder / "chain", Genesis(start_ms=SETTINGS.started_at_ms))
    node = CommandNode(evm)
    rpc = Rpc("http://devnet/", transport=InProcess(Dispatcher(node, node)))
    engine = Engine(SETTINGS, memory=memory, chain=DevnetChain(rpc, memory, virtual=True))
    engine.run()
    archive.write(folder / "run", engine)
    evm.close()
    return folder


@pytest.fixture
def attack(settled: Path, tmp_path: Path) -> Attack:
    return Attack(archives.copy(settled / "run", tmp_path / "attack"))


@pytest.fixture(scope="module")
def node(settled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The run's devnet as a server."""
    options = ("--path", str(settled / "chain"), "--mode", "command", "--start-ms", str(SETTINGS.started_at_ms))
    process = DevnetProcess(tmp_path_factory.mktemp("node") / "log", *options)
    yield process.url
    process.stop()


def test_it_passes_offline_and_against_its_node(settled: Path, node: str) -> None:
    """Executed again, it is the same to the byte: transactions and blocks among it."""
    report = audit(settled / "run", rpc=node, re_execute=True)
    assert failing(report) == {}
    assert "the node has them all" in report.check("settlement").detail


def receipt(lines: list[Fields]) -> Fields:
    found: Fields = of_type(lines, "deal.completed")[0]["data"]["receipt"]
    return found


def log_of(lines: list[Fields], contract: str) -> Fields:
    """The last log of a contract in the first receipt, by a field of the deal's terms."""
    address = deal_lines(lines)[0]["data"]["terms"][contract]
    found: Fields = [log for log in receipt(lines)["logs"] if log["address"] == address][-1]
    return found


def pays_less(lines: list[Fields]) -> None:
    log_of(lines, "currency")["data"] = "0x" + f"{1:064x}"


def pays_another(lines: list[Fields]) -> None:
    log_of(lines, "currency")["topics"][2] = "0x" + "0" * 24 + "9" * 40


def delivers_another_item(lines: list[Fields]) -> None:
    log_of(lines, "collection")["topics"][3] = "0x" + f"{4242:064x}"


def tells_of_another_deal(lines: list[Fields]) -> None:
    log_of(lines, "escrow")["topics"][1] = "0x" + "ab" * 32


def loses_the_logs(lines: list[Fields]) -> None:
    receipt(lines)["logs"] = []


def did_not_succeed(lines: list[Fields]) -> None:
    receipt(lines)["succeeded"] = False


def is_paid_twice(lines: list[Fields]) -> None:
    logs = receipt(lines)["logs"]
    logs.append(log_of(lines, "currency"))


RECEIPTS: list[tuple[Mutate, str]] = [
    (pays_less, "payments of [1]"),
    (pays_another, "payments of []"),
    (delivers_another_item, "items [4242]|items []"),
    (tells_of_another_deal, "the escrow's event is not that of deal"),
    (loses_the_logs, "payments of []"),
    (did_not_succeed, "says that it failed"),
    (is_paid_twice, "payments of ["),
]


@pytest.mark.parametrize(("mutate", "said"), RECEIPTS, ids=[mutate.__name__ for mutate, _ in RECEIPTS])
def test_a_receipt_that_was_changed_is_named(attack: Attack, mutate: Mutate, said: str) -> None:
    """Offline: its logs no longer say that this deal was paid and delivered."""
    found = attack.run(mutate)
    assert any(part in found["settlement"] for part in said.split("|")), found
    assert "deal.completed" in found["settlement"]


def moves_to_another_block(lines: list[Fields]) -> None:
    receipt(lines)["block_hash"] = "0x" + "cd" * 32


def test_what_only_a_node_can_tell_it_tells(attack: Attack, node: str) -> None:
    """A block's hash proves nothing by itself; a node knows it, and so does who executes the run again."""
    rewrite(attack.folder, moves_to_another_block)
    assert "settlement" not in failing(audit(attack.folder))
    assert "the node has transaction" in failing(audit(attack.folder, rpc=node))["settlement"]
    assert "block_hash" in failing(audit(attack.folder, re_execute=True))["re_execution"]


def raw_of(attack: Attack) -> tuple[str, bytes]:
    """The first transaction of the log with its raw bytes."""
    lines = [json.loads(line) for line in archives.lines_of(attack.folder)]
    tx_hash: str = of_type(lines, "escrow.submitted")[0]["data"]["tx_hash"]
    vault = archive.read_vault(attack.folder)
    assert vault is not None
    return tx_hash, vault.get(tx_hash)


def put_raw(attack: Attack, tx_hash: str, named: str, raw: bytes) -> None:
    """Puts other bytes in the vault, under a name of the attacker's choice, and names that in the log."""
    entries = [json.loads(line) for line in (attack.folder / archive.VAULT).read_bytes().splitlines()]
    changed = {entry["key"]: entry["secret"] for entry in entries if entry["key"] != tx_hash}
    changed[named] = base64.b64encode(raw).decode()
    lines = [canonical({"key": key, "secret": secret}) for key, secret in sorted(changed.items())]
    (attack.folder / archive.VAULT).write_bytes(b"".join(line + b"\n" for line in lines))

    def rename(log: list[Fields]) -> None:
        for line in log:
            if line["data"].get("tx_hash") == tx_hash:
                line["data"]["tx_hash"] = named
            if line["data"].get("receipt", {}).get("tx_hash") == tx_hash:
                line["data"]["receipt"]["tx_hash"] = named

    rewrite(attack.folder, rename)


def resigned(
    raw: bytes, *, key: bytes = RELAYER_KEY, data: bytes | None = None, to: str | None = None
) -> tuple[str, bytes]:
    """A transaction like this one with something else in it, well signed."""
    old = decode(raw, Genesis().chain_id)
    made = sign_transaction(
        key,
        Genesis().chain_id,
        nonce=old.nonce,
        to=to or old.to,
        data=old.data if data is None else data,
        gas=old.gas,
        gas_price_wei=old.gas_price_wei,
    )
    return made.tx_hash, made.raw


def test_raw_bytes_under_another_hash_are_named(attack: Attack) -> None:
    """One bit of a signature."""
    tx_hash, raw = raw_of(attack)
    put_raw(attack, tx_hash, tx_hash, raw[:-1] + bytes([raw[-1] ^ 1]))
    assert "its bytes have another hash" in failing(audit(attack.folder))["settlement"]


def test_calldata_that_is_not_the_certified_deal_is_named(attack: Attack) -> None:
    """The price, signed by the true relayer, under its true hash."""
    tx_hash, raw = raw_of(attack)
    data = bytearray(decode(raw, Genesis().chain_id).data)
    data[4 + 6 * 32 + 31] ^= 1  # the deal's members come first, the price is the seventh
    put_raw(attack, tx_hash, *resigned(raw, data=bytes(data)))
    assert "its calldata is not the certified deal" in failing(audit(attack.folder))["settlement"]


def test_a_transaction_to_another_contract_is_named(attack: Attack) -> None:
    """Such as one that does nothing."""
    tx_hash, raw = raw_of(attack)
    put_raw(attack, tx_hash, *resigned(raw, to="0x" + "5" * 40))
    assert "not to the escrow" in failing(audit(attack.folder))["settlement"]


def test_a_quorum_of_outsiders_is_named(attack: Attack) -> None:
    """Attestations of keys that are in no set."""
    tx_hash, raw = raw_of(attack)
    data = decode(raw, Genesis().chain_id).data
    put_raw(attack, tx_hash, *resigned(raw, data=data[:-64] + bytes(64)))
    assert "settlement" in failing(audit(attack.folder))


def test_calldata_that_cannot_be_read_is_named(attack: Attack) -> None:
    """Cut in the middle."""
    tx_hash, raw = raw_of(attack)
    put_raw(attack, tx_hash, *resigned(raw, data=decode(raw, Genesis().chain_id).data[:500]))
    assert "its calldata is not the certified deal" in failing(audit(attack.folder))["settlement"]


def test_two_relayers_are_named(attack: Attack) -> None:
    """All transactions of a run are one account's."""
    tx_hash, raw = raw_of(attack)
    put_raw(attack, tx_hash, *resigned(raw, key=derive_secret(b"x", "relayer", "x")))
    assert "signed by 2 accounts" in failing(audit(attack.folder))["settlement"]


def test_a_missing_transaction_is_named(attack: Attack) -> None:
    """The log says what should be in the vault."""
    tx_hash, raw = raw_of(attack)
    put_raw(attack, tx_hash, "0x" + "77" * 32, raw)
    rewrite(attack.folder, lambda _lines: None)
    assert failing(audit(attack.folder)) != {}


def test_a_vote_or_mandate_that_was_changed_is_named(attack: Attack) -> None:
    """As on the ledger; the attestation too."""

    def forge(lines: list[Fields]) -> None:
        vote = of_type(lines, "deal.certified")[0]["data"]["votes"][0]
        vote["attestation"] = "11" * 65

    assert "the vote of verifier_1" in attack.run(forge)["certificates"]
