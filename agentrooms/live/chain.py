"""The chain of an installation: chosen once, and its devnet kept running as long as the system runs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agentrooms.chain.spec import ChainMode, ChainSpec
from agentrooms.domain.site import Site
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.services.child import Keeper
from agentrooms.services.folder import DataFolder
from agentrooms.services.settings import Settings

CHAIN = "chain"  # folder of the devnet's data
CHOSEN = "chain.json"
ENGINES = {ChainMode.DEVNET: "pyevm", ChainMode.ANVIL: "anvil"}  # of devnets; also what the file is called
LOOPBACK = "127.0.0.1"


class ChainChanged(AgentroomsError):
    """The settings name another chain than the one on which the installation's deals are."""


class Chosen(msgspec.Struct, frozen=True):
    """What a data folder notes of its chain."""

    mode: ChainMode
    site: Site


@contextmanager
def chain_of(settings: Settings, folder: DataFolder) -> Iterator[ChainSpec]:
    """Gives the chain that the system settles on; a devnet runs until the block ends, also when it dies in between.

    Raises ChainChanged when deals of this data folder are on another, InvalidInput when something is not set.
    """
    spec = _spec(settings)
    _choose(folder, Chosen(spec.mode, spec.site))
    if spec.mode not in ENGINES:
        yield spec
        return
    keeper = DevnetKeeper(folder.path / CHAIN, folder.logs / "devnet.log", spec)
    try:
        yield msgspec.structs.replace(spec, url=keeper.url)
    finally:
        keeper.stop()


def _spec(settings: Settings) -> ChainSpec:
    mode = ChainMode(settings.chain_mode)
    if mode is ChainMode.LEDGER:
        return ChainSpec()
    if mode is ChainMode.ARK:
        return _ark(settings)
    from agentrooms.chain.evm.devnet import LIVE_CHAIN_ID, site_of  # noqa: PLC0415 - not every chain has an EVM

    return ChainSpec(mode=mode, site=site_of(LIVE_CHAIN_ID))


def _ark(settings: Settings) -> ChainSpec:
    site = public_site(settings, CHAIN_URL=settings.chain_url, RELAYER_KEY=settings.relayer_key)
    assert settings.relayer_key is not None
    key = bytes.fromhex(settings.relayer_key.get_secret_value().removeprefix("0x"))
    return ChainSpec(
        mode=ChainMode.ARK, site=site, url=str(settings.chain_url), relayer=key, confirmations=settings.confirmations
    )


def public_site(settings: Settings, **needed: object) -> Site:
    """Returns the contracts on a chain of others. Raises InvalidInput that names what of it, or of `needed`, is not set."""
    given = {
        "ESCROW_ADDRESS": settings.escrow_address,
        "USDC_ADDRESS": settings.usdc_address,
        "COLLECTION_ADDRESS": settings.collection_address,
    }
    missing = [name for name, value in {**needed, **given}.items() if value is None]
    if missing:
        raise InvalidInput(f"CHAIN_MODE=ark needs {', '.join(missing)}", hint="see .env.example for what each means")
    return Site(settings.chain_id, *(str(value).lower() for value in given.values()))


def _choose(folder: DataFolder, wanted: Chosen) -> None:
    """Notes the chain of a new data folder; an old one keeps its own."""
    file = folder.path / CHOSEN
    if not file.exists():
        draft = file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(wanted))
        draft.replace(file)
    found = chosen(folder)
    if found is not None and found != wanted:
        raise ChainChanged(
            f"deals of {folder.path} settle on {found.mode} (chain {found.site.chain_id}, escrow {found.site.escrow}), "
            f"the settings say {wanted.mode} (chain {wanted.site.chain_id}, escrow {wanted.site.escrow})",
            hint="set CHAIN_MODE and the addresses as they were, or AGENTROOMS_DATA to a new folder",
        )


def chosen(folder: DataFolder) -> Chosen | None:
    """Returns what a data folder notes of its chain, None when no system was ever started there.

    Raises ChainChanged when the note cannot be read.
    """
    file = folder.path / CHOSEN
    try:
        return msgspec.json.decode(file.read_bytes(), type=Chosen)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ChainChanged(f"{file} is damaged: {error}", hint="restore it from a backup") from error


class DevnetKeeper(Keeper):
    """A devnet on one port. It is started again when it ends; its blocks are in the folder `data`."""

    def __init__(self, data: Path, said: Path, spec: ChainSpec) -> None:
        """What the devnet says goes to the file `said`."""
        from agentrooms.chain.devnet.process import DevnetProcess  # noqa: PLC0415 - see _spec

        data.mkdir(exist_ok=True)
        engine = ENGINES[spec.mode]
        options = ("--path", str(data / engine), "--chain-id", str(spec.site.chain_id), "--engine", engine)
        first = DevnetProcess(said, *options, "--port", str(_free_port()))
        self.url = first.url
        port = self.url.rpartition(":")[2]
        super().__init__(lambda: DevnetProcess(said, *options, "--port", port), "the devnet", first)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port: int = taken.getsockname()[1]
    return port
