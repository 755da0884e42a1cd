"""Anvil's process: started on a free port of loopback, ended with its owner, spoken to in JSON-RPC."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from agentrooms.chain.devnet.anvil_binary import find_anvil
from agentrooms.chain.devnet.engine import (
    BLOCK_GAS_LIMIT,
    COINBASE,
    FUNDS_WEI,
    GAS_PRICE_MIN_WEI,
    ZERO_HASH,
    EngineError,
    EngineUnusable,
    Genesis,
)
from agentrooms.services.processes import last_lines

START_TIMEOUT_S = 30
STARTS_MAX = 3  # another program may take the port before anvil does
ANSWER_TIMEOUT_S = 60
POLL_S = 0.005

# The shell becomes anvil; a watcher beside it waits for the end of our pipe, which comes when we close it or die,
# however we die, and then removes the folder, $0. The process stays unreaped until then: its number is nobody else's.
GUARD = 'exec 3<&0; (read _ <&3; kill -9 $$; rm -rf "$0") 2>/dev/null & exec "$@" 3<&- </dev/null'


class RpcFailed(EngineError):
    """Anvil answers with an error; `data` is what a contract reverted with."""

    def __init__(self, message: str, data: str | None) -> None:
        super().__init__(message)
        self.data = data


class AnvilProcess:
    """One anvil that mines on command.

    Raises:
        EngineUnusable: it is not found or does not start.
    """

    def __init__(self, genesis: Genesis, binary: Path | None = None) -> None:
        self._binary = binary or find_anvil()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._http: httpx.Client | None = None
        try:
            for start in range(1, STARTS_MAX + 1):
                if self._start(genesis, last=start == STARTS_MAX):
                    return
        except BaseException:  # also on Ctrl-C: no process or folder may outlive a start that was cut
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process is not None
        return self._process.pid

    def rpc(self, method: str, *params: object) -> Any:  # noqa: ANN401 -- each method has its own shape
        """Returns the result of a request.

        Raises:
            RpcFailed: anvil answers with an error.
            EngineError: it does not answer.
        """
        if self._http is None:
            raise EngineError("anvil is closed")
        try:
            answer = self._http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        except (httpx.HTTPError, ValueError) as error:
            raise EngineError(f"anvil does not answer {method}: {error}") from error
        if "error" in answer:
            raise RpcFailed(str(answer["error"].get("message")), answer["error"].get("data"))
        return answer["result"]

    def close(self) -> None:
        """Ends the process and removes what it left; a second time does nothing."""
        if self._http is not None:
            self._http.close()
            self._http = None
        self._kill()

    def _start(self, genesis: Genesis, *, last: bool) -> bool:
        """Starts anvil on a free port and returns whether it answers there; raises when the last start fails."""
        port = _free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="agentrooms-anvil-"))
        genesis_file, log = self._folder / "genesis.json", self._folder / "log"
        genesis_file.write_text(json.dumps(_genesis_json(genesis)))
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- anvil
                ["/bin/sh", "-c", GUARD, str(self._folder), *self._command(genesis, port, genesis_file)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                start_new_session=True,  # a Ctrl-C is for its owner, who closes it
            )
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_TIMEOUT_S, trust_env=False)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._runs() and time.monotonic() < deadline:
            try:
                if int(self.rpc("eth_chainId"), 16) == genesis.chain_id and self._runs():
                    return True
            except EngineError:
                time.sleep(POLL_S)
        said = last_lines(log.read_text(errors="replace"))
        self._http.close()
        self._kill()
        if last:
            raise EngineUnusable(f"{self._binary} does not start: {said}", hint="see whether it runs by itself")
        return False

    def _command(self, genesis: Genesis, port: int, genesis_file: Path) -> list[str]:
        options = {
            "host": "127.0.0.1",
            "port": port,
            "chain-id": genesis.chain_id,
            "hardfork": "shanghai",
            "gas-limit": BLOCK_GAS_LIMIT,
            "order": "fifo",
            "block-base-fee-per-gas": 0,
            "gas-price": GAS_PRICE_MIN_WEI,
            "accounts": 0,
            "timestamp": genesis.start_ms // genesis.ms_per_tick,
            "init": genesis_file,
        }
        flags = ["--silent", "--no-mining", "--disable-default-create2-deployer"]
        return [
            str(self._binary),
            *flags,
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]

    def _runs(self) -> bool:
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _genesis_json(genesis: Genesis) -> dict[str, object]:
    return {
        "config": {"chainId": genesis.chain_id},
        "nonce": "0x0",
        "timestamp": hex(genesis.start_ms // genesis.ms_per_tick),
        "extraData": "0x",
        "gasLimit": hex(BLOCK_GAS_LIMIT),
        "difficulty": "0x0",
        "mixHash": ZERO_HASH,
        "coinbase": COINBASE,
        "baseFeePerGas": "0x0",
        "number": "0x0",
        "gasUsed": "0x0",
        "parentHash": ZERO_HASH,
        "alloc": {address[2:]: {"balance": hex(FUNDS_WEI)} for address in genesis.funded},
    }
