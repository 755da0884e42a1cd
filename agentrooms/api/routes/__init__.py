"""REST: one module a resource."""

from __future__ import annotations

from fastapi import APIRouter

from agentrooms.api.routes import account, agents, auth, deals, history, nfts, operations, rooms, runs, swarms, wallet

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    rooms.router,
    agents.router,
    history.router,
    swarms.router,
    deals.router,
    nfts.router,
    wallet.router,
    account.router,
    runs.router,
    operations.router,
)
