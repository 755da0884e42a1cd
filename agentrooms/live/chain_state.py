"""What the chain of a running system says when it is asked now: its head, the escrow's verifier set, the relayer's money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agentrooms.chain.port import ChainError
from agentrooms.chain.spec import ChainMode
from agentrooms.domain.secp256k1 import address_of
from agentrooms.live.access import Running
from agentrooms.live.chain import chosen
from agentrooms.services.folder import DataFolder
from agentrooms.services.settings import Settings

if TYPE_CHECKING:
    from agentrooms.chain.evm.rpc import Rpc


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """One chain. Without a node (`url` is "") there is no head to ask for; `found` says what is wrong with one."""

    mode: ChainMode
    chain_id: int
    escrow: str
    url: str = ""
    answers: bool = True
    found: str = ""
    block: int | None = None
    block_at_ms: int | None = None
    set_version: int | None = None
    relayer: str = ""
    balance_wei: int | None = None


def relayer_of(settings: Settings) -> str:
    """Returns the address of the account that pays for transactions, "" where nobody pays."""
    mode = ChainMode(settings.chain_mode)
    if mode is ChainMode.LEDGER:
        return ""
    if mode is ChainMode.ARK:
        key = settings.relayer_key
        return address_of(bytes.fromhex(key.get_secret_value().removeprefix("0x"))) if key is not None else ""
    from agentrooms.chain.devnet.engine import RELAYER_KEY  # noqa: PLC0415 - not every chain has an EVM

    return address_of(RELAYER_KEY)


def chain_state(found: Running, relayer: str) -> ChainState | None:
    """Returns how the chain is, None when none was chosen yet. A node that does not answer is a finding, no error.

    Raises ChainChanged when the note of the chain cannot be read.
    """
    note = chosen(DataFolder(found.folder))
    if note is None:
        return None
    state = ChainState(mode=note.mode, chain_id=note.site.chain_id, escrow=note.site.escrow, url=found.chain_url)
    if not found.chain_url:
        return state
    from agentrooms.chain.evm.rpc import Rpc  # noqa: PLC0415 - half a second, and not every chain has a node

    rpc = Rpc(found.chain_url, sleep=lambda _seconds: None)
    try:
        return _asked(rpc, msgspec.structs.replace(state, relayer=relayer))
    except ChainError as error:
        return msgspec.structs.replace(state, answers=False, found=str(error))
    finally:
        rpc.close()


def _asked(rpc: Rpc, state: ChainState) -> ChainState:
    from agentrooms.chain.evm.view import read_block  # noqa: PLC0415 - see chain_state

    head = read_block(rpc.call("eth_getBlockByNumber", "latest", False), "latest")
    return msgspec.structs.replace(
        state,
        block=head.number,
        block_at_ms=head.at_ms,
        set_version=_set_version(rpc, state.escrow),
        balance_wei=rpc.number("eth_getBalance", state.relayer, "latest") if state.relayer else None,
    )


def _set_version(rpc: Rpc, escrow: str) -> int | None:
    """Returns the version of the set that the escrow counts, None where there is no escrow yet."""
    from agentrooms.chain.evm.abi import call_data  # noqa: PLC0415 - see chain_state
    from agentrooms.chain.evm.calls import ESCROW  # noqa: PLC0415 - see chain_state

    asked = {"to": escrow, "data": "0x" + call_data(ESCROW, "setVersion").hex()}
    returned = str(rpc.call("eth_call", asked, "latest")).removeprefix("0x")
    try:
        return int(returned, 16)  # one word
    except ValueError:
        return None
