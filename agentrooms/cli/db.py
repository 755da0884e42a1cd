"""`agentrooms db`: what the running system's database begins with."""

from __future__ import annotations

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.params import Json


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "db", "Demo data of the running system.", "agentrooms db seed")
    group.command("seed", epilog=examples("agentrooms db seed", "agentrooms db seed --json"))(seed)


def seed(json: Json = False) -> None:
    """Have demo wallets with money and an item each; what is there stays. `agent spawn --wallet N` trades from one."""
    from agentrooms.cli.asking import asking, new_id
    from agentrooms.cli.console import clean, emit, out, table
    from agentrooms.live.commands import SeedDemo
    from agentrooms.live.wallets import DEMO_WALLETS, demo_wallet
    from agentrooms.projections import queries
    from agentrooms.services.folder import DataFolder

    with asking() as system:
        system.ask(SeedDemo(id=new_id()))
        secret = DataFolder(system.running.folder).secret()
        wallets = {n: demo_wallet(secret, n).address for n in range(1, DEMO_WALLETS + 1)}
        items = {n: queries.nfts(system.read, owner=address) for n, address in wallets.items()}
    if json:
        emit([{"wallet": n, "address": a, "items": [i.token_id for i in items[n]]} for n, a in wallets.items()])
        return
    shown = table(">Wallet", "Address", "Items")
    for n, address in wallets.items():
        shown.add_row(str(n), address, clean(", ".join(f"#{item.token_id}" for item in items[n])))
    out().print(shown)
