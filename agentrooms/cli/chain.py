"""`agentrooms chain`: our contracts on a chain of others."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.params import Json, Misuse

DEPLOYMENTS = "deployments"


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(
        app,
        "chain",
        "Our contracts on a chain of others.",
        "agentrooms chain deploy --url https://testnet.mainsailhq.com/rpc/api",
    )
    group.command(
        "deploy", epilog=examples("agentrooms chain deploy --url https://testnet.mainsailhq.com/rpc/api --json")
    )(deploy)


def _key(value: str) -> str:
    text = value.strip().removeprefix("0x").lower()
    if re.fullmatch(r"[0-9a-f]{64}", text) is None:
        raise Misuse("DEPLOYER_KEY is not a private key", "64 hexadecimal digits; it is not repeated here")
    return text


def deploy(
    url: Annotated[str, typer.Option("--url", metavar="URL", help="The node's EVM JSON-RPC.")],
    key: Annotated[
        str,
        typer.Option(
            "--key",
            envvar="DEPLOYER_KEY",
            metavar="HEX",
            show_envvar=True,
            help="The account that pays and owns.",
            parser=_key,
        ),
    ],
    json: Json = False,
) -> None:
    """Deploy test USDC, a test collection and the escrow, with this installation's seven verifiers.

    The account becomes the escrow's owner: it can pause it and register other verifiers, and can move nothing. Run again
    after a failure, it goes on where it was. Give the key in the environment: a command line is seen by others.
    """
    from agentrooms.actors.plans import mixed_plans
    from agentrooms.chain.evm.deploying import deploy as deploy_contracts
    from agentrooms.chain.evm.rpc import Rpc
    from agentrooms.chain.spec import ARK_REQUESTS_PER_MINUTE
    from agentrooms.cli.console import emit, out, talk
    from agentrooms.events.file_vault import FileVault
    from agentrooms.live.system import remotes
    from agentrooms.services.folder import DataFolder
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    with DataFolder(settings.agentrooms_data).own("agentrooms chain deploy") as folder:
        plans = mixed_plans(folder.secret(), 1, remotes(settings, folder.secret()))
        memory = FileVault(folder.path / DEPLOYMENTS)
        rpc = Rpc(url, requests_per_minute=ARK_REQUESTS_PER_MINUTE)
        try:
            site = deploy_contracts(
                rpc,
                bytes.fromhex(key),
                memory,
                [plan.member.address for plan in plans],
                lambda name, address: talk(f"  {name:<10} {address}"),
            )
        finally:
            rpc.close()
            memory.close()
    found = {
        "CHAIN_MODE": "ark",
        "CHAIN_URL": url,
        "CHAIN_ID": str(site.chain_id),
        "ESCROW_ADDRESS": site.escrow,
        "USDC_ADDRESS": site.currency,
        "COLLECTION_ADDRESS": site.collection,
    }
    if json:
        emit(found)
        return
    talk("For .env, beside a RELAYER_KEY of an account that pays for deals:")
    for name, value in found.items():
        out().print(f"{name}={value}", soft_wrap=True, markup=False, highlight=False)
