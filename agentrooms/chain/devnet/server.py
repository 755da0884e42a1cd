"""The devnet as a process of its own: `python -m agentrooms.chain.devnet.server --path FILE`, on loopback.

Its first line on stdout says, in JSON, where it listens and which chain it is; then it serves until it is told to
stop or, with `--with-parent`, until its stdin ends, which is when whoever started it is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from pathlib import Path

import msgspec
import uvicorn

from agentrooms.chain.devnet.anvil import Anvil
from agentrooms.chain.devnet.engine import CHAIN_ID, START_MS, Engine, Genesis
from agentrooms.chain.devnet.node import BLOCK_MS, CommandNode, LiveNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.rpc import Dispatcher
from agentrooms.chain.devnet.transport import Asgi
from agentrooms.errors import AgentroomsError
from agentrooms.services.listening import listening

HOST = "127.0.0.1"
STOP_S = 2  # for requests in flight when it is told to stop


class Ready(msgspec.Struct, frozen=True):
    """What a server says when it can be asked."""

    url: str
    chain_id: int
    pid: int


def main(arguments: list[str] | None = None) -> int:
    """Serves until stopped; returns 1 when it cannot, having said why on stderr."""
    given = _parser().parse_args(arguments)
    try:
        with contextlib.closing(_engine(given)) as engine:
            _serve(engine, given)
    except AgentroomsError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 1
    return 0


def _engine(given: argparse.Namespace) -> Engine:
    genesis = Genesis(chain_id=given.chain_id, start_ms=given.start_ms, ms_per_tick=given.ms_per_tick)
    return (Anvil if given.engine == "anvil" else PyEvm)(given.path, genesis)


def _serve(engine: Engine, given: argparse.Namespace) -> None:
    node = CommandNode(engine) if given.mode == "command" else LiveNode(engine, _wall_ms, block_ms=given.block_ms)
    config = uvicorn.Config(
        Asgi(Dispatcher(node, node)),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_S,
    )
    server = uvicorn.Server(config)
    with listening(HOST, given.port) as listener:
        if given.with_parent:
            threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        ready = Ready(url, engine.genesis.chain_id, os.getpid())
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        server.run(sockets=[listener])


def _end_with_stdin(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agentrooms.chain.devnet.server", description=__doc__)
    parser.add_argument("--path", type=Path, help="the chain's file; without it the chain ends with the process")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--chain-id", type=int, default=CHAIN_ID)
    parser.add_argument("--engine", choices=["pyevm", "anvil"], default="pyevm")
    parser.add_argument("--mode", choices=["live", "command"], default="live", help="mine on arrival, or when told")
    parser.add_argument("--block-ms", type=int, default=BLOCK_MS, help="between the empty blocks of a live chain")
    parser.add_argument("--ms-per-tick", type=int, choices=[1, 1000], default=1, help="what block.timestamp counts")
    parser.add_argument("--start-ms", type=int, default=START_MS, help="the time of the first block")
    parser.add_argument("--with-parent", action="store_true", help="stop when stdin ends")
    return parser


if __name__ == "__main__":
    sys.exit(main())
