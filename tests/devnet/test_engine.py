"""The port of the engines, one suite for both: what one EVM does, the other does."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from eth_account import Account

from agentrooms.chain.devnet.engine import (
    COINBASE,
    DEPLOYER_KEY,
    FUNDS_WEI,
    GAS_PRICE_MAX_WEI,
    GAS_PRICE_MIN_WEI,
    RELAYER_KEY,
    START_MS,
    TX_GAS_MAX,
    Call,
    Engine,
    EngineError,
    EngineUnusable,
    Genesis,
    LogEntry,
    Reverted,
    TransactionRefused,
)
from agentrooms.chain.devnet.pool import SENDER_MAX
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.domain.eip712 import keccak
from agentrooms.domain.secp256k1 import address_of
from tests.devnet.contracts import (
    CLOCK,
    INVALID,
    KEEPER,
    SPINNER,
    STEP_MS,
    deployed,
    done,
    forwarder,
    init_code,
    mine,
    signed,
    word,
)
from tests.devnet.engines import ENGINES, make_engine

DEPLOYER, RELAYER, NOBODY = address_of(DEPLOYER_KEY), address_of(RELAYER_KEY), "0x" + "11" * 20


def refusal(engine: Engine, raw: bytes) -> str:
    """Submits what must be refused and returns the reason."""
    before = engine.pooled()
    with pytest.raises(TransactionRefused) as caught:
        engine.submit(raw)
    assert engine.pooled() == before
    return caught.value.reason


def test_a_chain_begins_with_its_genesis(engine: Engine) -> None:
    head = engine.head()
    assert (head.number, head.timestamp_ms, head.transactions) == (0, START_MS, ())
    assert engine.block(0) == engine.block_by_hash(head.hash) == head
    assert engine.balance(DEPLOYER) == engine.balance(RELAYER) == FUNDS_WEI
    assert (engine.balance(NOBODY), engine.nonce(NOBODY), engine.code(NOBODY)) == (0, 0, b"")
    assert engine.block(1) is None
    assert engine.block_by_hash("0x" + "22" * 32) is None
    assert engine.transaction("0x" + "22" * 32) is None
    assert engine.receipt("0x" + "22" * 32) is None


def test_a_transfer_moves_value_and_pays_the_coinbase(engine: Engine) -> None:
    raw = signed(engine, NOBODY, value=7, gas=21_000)
    transaction_hash = engine.submit(raw)
    assert transaction_hash == "0x" + keccak(raw).hex()
    assert engine.pooled() == (transaction_hash,)
    assert engine.balance(NOBODY) == 0
    assert engine.receipt(transaction_hash) is None
    block = mine(engine)
    assert (block.number, block.timestamp_ms) == (1, START_MS + STEP_MS)
    assert block.transactions == (transaction_hash,)
    assert block.miner == COINBASE
    assert engine.head() == engine.block(1) == block
    assert engine.pooled() == ()
    fee = 21_000 * GAS_PRICE_MIN_WEI
    assert engine.balance(NOBODY) == 7
    assert engine.balance(COINBASE) == fee
    assert engine.balance(DEPLOYER) == FUNDS_WEI - 7 - fee
    assert engine.nonce(DEPLOYER) == 1
    receipt, transaction = engine.receipt(transaction_hash), engine.transaction(transaction_hash)
    assert receipt is not None
    assert transaction is not None
    assert (receipt.succeeded, receipt.gas_used, receipt.effective_gas_price_wei) == (True, 21_000, GAS_PRICE_MIN_WEI)
    assert (receipt.block_hash, receipt.block_number, receipt.transaction_index) == (block.hash, 1, 0)
    assert (receipt.sender, receipt.to, receipt.contract_address) == (DEPLOYER, NOBODY, None)
    assert (transaction.raw, transaction.sender, transaction.to, transaction.value_wei) == (raw, DEPLOYER, NOBODY, 7)


def test_a_contract_is_deployed_called_and_logs(engine: Engine) -> None:
    address = deployed(engine, KEEPER)
    assert engine.code(address) == KEEPER
    assert engine.call(Call(to=address)) == word(0)
    receipt = done(engine, signed(engine, address, word(5)))
    logged = LogEntry(address, ("0x" + word(5).hex(),), "0x" + bytes.fromhex(DEPLOYER[2:]).rjust(32, b"\0").hex())
    assert receipt.logs == (logged,)
    assert int(receipt.logs_bloom, 16) != 0
    assert engine.call(Call(to=address)) == engine.storage(address, 0) == word(5)


def test_a_call_changes_nothing(engine: Engine) -> None:
    address = deployed(engine, KEEPER)
    head = engine.head()
    engine.call(Call(to=address, data=word(9), sender=DEPLOYER))
    assert engine.call(Call(to=address)) == word(0)
    assert (engine.head(), engine.nonce(DEPLOYER)) == (head, 1)


def test_a_revert_carries_its_data_and_other_ends_have_none(engine: Engine) -> None:
    keeper, spinner, invalid = (deployed(engine, code) for code in (KEEPER, SPINNER, INVALID))
    for to, data in ((keeper, word(42)), (spinner, b""), (invalid, b"")):
        call = Call(to=to, data=b"\1", gas=100_000)
        with pytest.raises(Reverted) as called:
            engine.call(call)
        with pytest.raises(Reverted) as estimated:
            engine.estimate(call)
        assert called.value.data == estimated.value.data == data
    with pytest.raises(Reverted):
        engine.call(Call(to=keeper, sender=NOBODY, value_wei=1))


def test_the_rules_are_those_of_shanghai(engine: Engine) -> None:
    push0, tload, mcopy, blobhash = (
        deployed(engine, bytes.fromhex(code)) for code in ("5f5f5260205ff3", "60005c00", "6000600060005e00", "60004900")
    )
    assert engine.call(Call(to=push0)) == word(0)
    for later in (tload, mcopy, blobhash):
        with pytest.raises(Reverted):
            engine.call(Call(to=later))


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT:DeprecationWarning")  # py-evm says that later rules will change it
def test_a_contract_that_destroys_itself_is_gone_with_its_storage(engine: Engine) -> None:
    stores_then_code = bytes.fromhex(
        "6007600055" + "6002601160003960026000f3" + "33ff"
    )  # runtime: selfdestruct(caller)
    address = done(engine, signed(engine, None, stores_then_code, value=9)).contract_address
    assert address is not None
    assert (engine.storage(address, 0), engine.balance(address)) == (word(7), 9)
    assert done(engine, signed(engine, address)).succeeded
    assert (engine.code(address), engine.storage(address, 0), engine.balance(address)) == (b"", word(0), 0)


def test_a_failed_transaction_is_mined_and_pays(engine: Engine) -> None:
    address = deployed(engine, KEEPER)
    receipt = done(engine, signed(engine, address, b"\1"))
    assert (receipt.succeeded, receipt.logs) == (False, ())
    assert receipt.gas_used > 21_000
    assert engine.nonce(DEPLOYER) == 2
    assert done(engine, signed(engine, deployed(engine, SPINNER), gas=90_000)).gas_used == 90_000


def test_time_number_coinbase_and_hashes_inside_the_evm(engine: Engine) -> None:
    address = deployed(engine, CLOCK)
    mine(engine)
    head = engine.head()
    parent = engine.block(head.number - 1)
    assert parent is not None
    expected = (
        word(head.timestamp_ms),
        word(head.number),
        word(engine.genesis.chain_id),
        bytes.fromhex(COINBASE[2:]).rjust(32, b"\0"),
        bytes.fromhex(parent.hash[2:]),
    )
    assert engine.call(Call(to=address)) == b"".join(expected)
    later = engine.call(Call(to=address), head.timestamp_ms + 5)
    assert later == b"".join((word(head.timestamp_ms + 5), *expected[1:]))


def test_a_chain_in_seconds(engine_kind: str) -> None:
    engine = make_engine(engine_kind, genesis=Genesis(ms_per_tick=1000))
    try:
        address = deployed(engine, CLOCK)
        assert engine.call(Call(to=address))[:32] == word(START_MS // 1000 + 1)
        with pytest.raises(EngineError, match="not later"):
            engine.mine(engine.head().timestamp_ms + 999)
        assert engine.mine(engine.head().timestamp_ms + 2999).timestamp_ms == START_MS + 3000
    finally:
        engine.close()


def test_block_times_only_rise(engine: Engine) -> None:
    transaction_hash = engine.submit(signed(engine, NOBODY, gas=21_000))
    with pytest.raises(EngineError, match="not later"):
        engine.mine(START_MS)
    assert engine.pooled() == (transaction_hash,)
    assert engine.mine(START_MS + 1).transactions == (transaction_hash,)


@pytest.mark.parametrize("value", [0, 2**255])
def test_an_estimate_is_enough_and_no_gas_is_wasted(engine: Engine, value: int) -> None:
    keeper = deployed(engine, KEEPER)
    for target in (keeper, deployed(engine, forwarder(keeper))):
        estimate = engine.estimate(Call(to=target, data=word(value), sender=DEPLOYER))
        with pytest.raises(Reverted):
            engine.call(Call(to=target, data=word(value), sender=DEPLOYER, gas=estimate - 2000))
        assert done(engine, signed(engine, target, word(value), gas=estimate)).succeeded
    deployment = engine.estimate(Call(to=None, data=init_code(KEEPER), sender=DEPLOYER))
    assert done(engine, signed(engine, None, init_code(KEEPER), gas=deployment)).succeeded


def test_nonces_have_no_gaps_and_no_repeats(engine: Engine) -> None:
    first, second = (signed(engine, NOBODY, nonce=nonce, gas=21_000) for nonce in (0, 1))
    assert refusal(engine, second) == "nonce_gap"
    hashes = (engine.submit(first), engine.submit(second))
    assert refusal(engine, first) == "known"
    assert mine(engine).transactions == hashes
    assert refusal(engine, first) == "nonce_low"
    assert engine.nonce(DEPLOYER) == 2


def test_a_replacement_pays_a_tenth_more(engine: Engine) -> None:
    def priced(percent: int) -> bytes:
        return signed(engine, NOBODY, nonce=0, gas=21_000, gas_price=GAS_PRICE_MIN_WEI * percent // 100)

    old = engine.submit(priced(100))
    other = engine.submit(signed(engine, NOBODY, key=RELAYER_KEY, gas=21_000))
    assert refusal(engine, priced(109)) == "underpriced"
    new = engine.submit(priced(110))
    assert mine(engine).transactions == (new, other)
    assert engine.receipt(old) is None


def test_a_block_holds_what_its_gas_allows_in_the_order_of_arrival(engine: Engine) -> None:
    hashes = [
        engine.submit(signed(engine, NOBODY, key=key, nonce=nonce, gas=TX_GAS_MAX))
        for nonce in (0, 1)
        for key in (RELAYER_KEY, DEPLOYER_KEY)
    ]
    assert mine(engine).transactions == tuple(hashes[:2])
    assert mine(engine).transactions == tuple(hashes[2:])


def test_what_may_not_enter_the_pool(engine: Engine) -> None:
    plain = {"nonce": 0, "gas": 21_000, "to": NOBODY, "value": 0, "chainId": engine.genesis.chain_id}
    fees = {"maxFeePerGas": GAS_PRICE_MIN_WEI, "maxPriorityFeePerGas": 0}
    lists = {"gasPrice": GAS_PRICE_MIN_WEI, "accessList": []}
    for typed in (fees, lists):
        assert (
            refusal(engine, bytes(Account.sign_transaction({**plain, **typed}, DEPLOYER_KEY).raw_transaction))
            == "typed"
        )
    cases = {
        "gas_price": [{"gas_price": GAS_PRICE_MIN_WEI - 1}, {"gas_price": GAS_PRICE_MAX_WEI + 1}],
        "gas_limit": [{"gas": 20_999}, {"gas": TX_GAS_MAX + 1}],
        "chain_id": [{"chain_id": engine.genesis.chain_id + 1}],
        "balance": [{"value": FUNDS_WEI}],
    }
    for reason, changes in cases.items():
        for change in changes:
            assert refusal(engine, signed(engine, NOBODY, b"", key=DEPLOYER_KEY, **change)) == reason
    assert refusal(engine, signed(engine, None, bytes(49_153), gas=TX_GAS_MAX)) == "too_large"
    without_chain = {**plain, "gasPrice": GAS_PRICE_MIN_WEI, "chainId": None}
    del without_chain["chainId"]
    assert refusal(engine, bytes(Account.sign_transaction(without_chain, DEPLOYER_KEY).raw_transaction)) == "chain_id"


def test_a_sender_s_pool_is_bounded_and_counts_its_costs(engine: Engine) -> None:
    half = FUNDS_WEI // 2
    engine.submit(signed(engine, NOBODY, key=RELAYER_KEY, gas=21_000, value=half))
    assert refusal(engine, signed(engine, NOBODY, key=RELAYER_KEY, nonce=1, gas=21_000, value=half)) == "balance"
    for nonce in range(SENDER_MAX):
        engine.submit(signed(engine, NOBODY, nonce=nonce, gas=21_000))
    assert refusal(engine, signed(engine, NOBODY, nonce=SENDER_MAX, gas=21_000)) == "pool_full"
    assert len(mine(engine).transactions) == 1 + SENDER_MAX


def history(engine: Engine) -> list[str]:
    """Does a bit of everything and returns the hashes of the blocks."""
    address = deployed(engine, KEEPER)
    for value in (1, 2):
        engine.submit(signed(engine, address, word(value), key=RELAYER_KEY))
        engine.submit(signed(engine, address, b"bad"))
        mine(engine)
    mine(engine)
    return [block.hash for number in range(engine.head().number + 1) if (block := engine.block(number)) is not None]


def test_the_same_transactions_at_the_same_times_give_the_same_hashes(engine_kind: str, tmp_path: Path) -> None:
    found = []
    for path in (None, tmp_path / "chain"):
        engine = make_engine(engine_kind, path)
        found.append(history(engine))
        engine.close()
    assert found[0] == found[1]
    assert len(set(found[0])) == 5


def test_archives_name_these_hashes() -> None:
    """A change of genesis or of block layout makes other chains out of the same runs: never by accident."""
    engine = PyEvm()
    hashes = history(engine)
    engine.close()
    assert (hashes[0], hashes[-1]) == (
        "0x474f2c5471a17334059edfc171ccc3285f1169197f516b1720c96235e148cb5a",
        "0xf504f164b406c2871e0eb96fd9fb43d87261ed5da58efdcd79fdb1bc11157ed7",
    )


def test_a_restart_keeps_everything_but_the_pool(engine_kind: str, tmp_path: Path) -> None:
    path = tmp_path / "chain"
    engine = make_engine(engine_kind, path)
    address = deployed(engine, KEEPER)
    receipt = done(engine, signed(engine, address, word(3)))
    waiting = signed(engine, address, word(4))
    engine.submit(waiting)
    blocks = [engine.block(number) for number in range(3)]
    engine.close()
    engine = make_engine(engine_kind, path)
    try:
        assert [engine.block(number) for number in range(3)] == blocks
        assert engine.head() == blocks[-1]
        assert engine.receipt(receipt.transaction_hash) == receipt
        assert engine.transaction(receipt.transaction_hash) is not None
        assert engine.call(Call(to=address)) == word(3)
        assert (engine.nonce(DEPLOYER), engine.pooled()) == (2, ())
        assert done(engine, waiting).succeeded
    finally:
        engine.close()


@pytest.mark.parametrize("file", [None, "chain"])
def test_a_copy_opens_as_the_chain_was_then_and_both_go_on(engine_kind: str, tmp_path: Path, file: str | None) -> None:
    copy = tmp_path / "copy"
    engine = make_engine(engine_kind, None if file is None else tmp_path / file)
    address = deployed(engine, KEEPER)
    receipt = done(engine, signed(engine, address, word(3)))
    engine.copy(copy)  # is replaced
    mine(engine)
    waiting = signed(engine, address, word(4))
    engine.submit(waiting)
    blocks = [engine.block(number) for number in range(4)]
    engine.copy(copy)
    first = mine(engine)
    engine.close()
    copied = make_engine(engine_kind, copy)
    try:
        assert [copied.block(number) for number in range(5)] == [*blocks, None]
        assert copied.head() == blocks[-1]
        assert copied.receipt(receipt.transaction_hash) == receipt
        assert copied.transaction(receipt.transaction_hash) is not None
        assert copied.call(Call(to=address)) == word(3)
        assert (copied.nonce(DEPLOYER), copied.pooled()) == (2, ())
        copied.submit(waiting)
        assert mine(copied) == first
    finally:
        copied.close()
    beside = {"copy.old"} if engine_kind == "anvil" else set()  # what an engine keeps of its own
    assert {one.name for one in tmp_path.glob("copy*")} == {"copy", *beside}


def test_a_copy_that_cannot_be_written_leaves_all_as_it_was(engine_kind: str, tmp_path: Path) -> None:
    engine = make_engine(engine_kind, tmp_path / "chain")
    address = deployed(engine, KEEPER)
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(EngineError, match="taken: "):
        engine.copy(taken)
    assert taken.is_dir()
    assert done(engine, signed(engine, address, word(1))).succeeded
    engine.close()


def test_a_file_of_another_chain_is_refused(engine_kind: str, tmp_path: Path) -> None:
    path = tmp_path / "chain"
    engine = make_engine(engine_kind, path)
    mine(engine)
    engine.close()
    with pytest.raises(EngineUnusable, match="another chain"):
        make_engine(engine_kind, path, Genesis(ms_per_tick=1000))


def test_both_engines_give_the_same_receipts() -> None:
    found = []
    for kind in ENGINES:
        engine = make_engine(kind)
        history(engine)
        numbers = range(engine.head().number + 1)
        blocks = [block for number in numbers if (block := engine.block(number)) is not None]
        hashes = [one for block in blocks for one in block.transactions]
        receipts = [receipt for one in hashes if (receipt := engine.receipt(one)) is not None]
        found.append(
            [
                [msgspec.structs.replace(receipt, block_hash="") for receipt in receipts],
                [(block.transactions_root, block.receipts_root, block.logs_bloom, block.gas_used) for block in blocks],
                [engine.balance(who) for who in (DEPLOYER, RELAYER, COINBASE)],
            ]
        )
        engine.close()
    assert found[0] == found[1]


def test_a_path_that_cannot_be_used_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder, and no chain")
    for path in (tmp_path / "file", tmp_path / "file" / "chain"):
        with pytest.raises(EngineUnusable, match="cannot be used"):
            make_engine("pyevm", path)
    anvil = make_engine("anvil", tmp_path / "file" / "chain")
    with pytest.raises(EngineError, match="cannot be written"):
        mine(anvil)
    anvil.close()


def test_a_block_that_cannot_be_stored_leaves_everything_as_it_was(tmp_path: Path) -> None:
    engine = PyEvm(tmp_path / "chain")
    raw = signed(engine, None, init_code(bytes(20_000)), gas=TX_GAS_MAX)
    transaction_hash, head = engine.submit(raw), engine.head()
    connection = engine._store._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(EngineError, match=r"block 1 cannot be stored in .*full"):
        mine(engine)
    assert (engine.head(), engine.block(1), engine.pooled()) == (head, None, (transaction_hash,))
    assert engine.nonce(DEPLOYER) == 0
    connection.execute("PRAGMA max_page_count = 1000000")
    assert mine(engine).transactions == (transaction_hash,)
    engine.close()
