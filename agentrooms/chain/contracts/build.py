"""Compiles the contracts and rewrites their artefacts: `python -m agentrooms.chain.contracts.build`.

The one module that imports the compiler, which is a dependency for development only.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec
import vyper
from vyper.compiler import compile_code
from vyper.compiler.settings import Settings

from agentrooms.chain.contracts.artefact import ARTEFACTS, FOLDER, NAMES, Artefact
from agentrooms.errors import AgentroomsError

COMPILER = "0.4.3"
EVM_VERSION = "shanghai"  # what Mainsail's generated networks run; later rules bring nothing the contracts need


class WrongCompiler(AgentroomsError):
    """Another version of Vyper is installed; it would make other bytes."""


def compile_source(path: Path) -> Artefact:
    """Returns the artefact of one Vyper source.

    Raises:
        WrongCompiler: the compiler is not the pinned one.
    """
    if vyper.__version__ != COMPILER:
        raise WrongCompiler(
            f"the artefacts are of Vyper {COMPILER}, installed is {vyper.__version__}",
            hint=f"install vyper=={COMPILER}",
        )
    source = path.read_bytes()
    output = compile_code(
        source.decode(),
        contract_path=path.name,  # not the whole path: the bytes must not depend on where the project lies
        output_formats=["abi", "bytecode", "bytecode_runtime"],
        settings=Settings(evm_version=EVM_VERSION),
    )
    return Artefact(
        name=path.stem,
        compiler=f"vyper {COMPILER}",
        evm_version=EVM_VERSION,
        source_sha256=hashlib.sha256(source).hexdigest(),
        abi=output["abi"],
        initcode=output["bytecode"].removeprefix("0x"),
        runtime=output["bytecode_runtime"].removeprefix("0x"),
    )


def encode(artefact: Artefact) -> bytes:
    """Returns the bytes of the committed file."""
    return msgspec.json.format(msgspec.json.encode(artefact), indent=1) + b"\n"


def main() -> None:
    """Rewrites all artefacts."""
    ARTEFACTS.mkdir(exist_ok=True)
    for name in NAMES:
        artefact = compile_source(FOLDER / f"{name}.vy")
        (ARTEFACTS / f"{name}.json").write_bytes(encode(artefact))
        sys.stdout.write(
            f"{name}: runtime {len(artefact.runtime) // 2} bytes, initcode {len(artefact.initcode) // 2}\n"
        )


if __name__ == "__main__":
    main()
