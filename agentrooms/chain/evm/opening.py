"""Opens chains with an EVM: through their address, or in this process."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agentrooms.chain.evm.chain import LOCAL, EvmChain, Pace
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.view import EvmView
from agentrooms.chain.spec import ARK_REQUESTS_PER_MINUTE, ChainMode, ChainSpec
from agentrooms.events.vault import Vault

IN_PROCESS = "http://devnet/"


def open_evm(spec: ChainSpec, memory: Vault) -> EvmChain:
    """Returns a chain to settle on. Raises ChainMismatch when a public one is not what was configured."""
    if spec.mode is ChainMode.ARK:
        chain = EvmChain(_rpc(spec), spec.site, spec.relayer, memory, pace=Pace(confirmations=spec.confirmations))
        chain.probe()
        return chain
    if spec.url:
        pace = msgspec.structs.replace(LOCAL, confirmations=spec.confirmations)
        return DevnetChain(_rpc(spec), memory, chain_id=spec.site.chain_id, pace=pace)
    return _in_process(spec, memory)


def _in_process(spec: ChainSpec, memory: Vault) -> DevnetChain:
    from agentrooms.chain.devnet.anvil import Anvil  # noqa: PLC0415 - an EVM takes a second to import
    from agentrooms.chain.devnet.engine import Genesis  # noqa: PLC0415 - the same
    from agentrooms.chain.devnet.node import CommandNode  # noqa: PLC0415 - the same
    from agentrooms.chain.devnet.pyevm import PyEvm  # noqa: PLC0415 - the same
    from agentrooms.chain.devnet.rpc import Dispatcher  # noqa: PLC0415 - the same
    from agentrooms.chain.devnet.transport import InProcess  # noqa: PLC0415 - the same

    genesis = Genesis(chain_id=spec.site.chain_id, start_ms=spec.start_ms)
    path = Path(spec.path) if spec.path else None
    node = CommandNode(Anvil(path, genesis) if spec.mode is ChainMode.ANVIL else PyEvm(path, genesis))
    rpc = Rpc(IN_PROCESS, transport=InProcess(Dispatcher(node, node)))
    return DevnetChain(rpc, memory, chain_id=spec.site.chain_id, virtual=True)


def view_evm(spec: ChainSpec) -> EvmView:
    """Returns a chain to look at, through a client of its own."""
    return EvmView(_rpc(spec), spec.site)


def _rpc(spec: ChainSpec) -> Rpc:
    return Rpc(spec.url, requests_per_minute=ARK_REQUESTS_PER_MINUTE if spec.mode is ChainMode.ARK else None)
