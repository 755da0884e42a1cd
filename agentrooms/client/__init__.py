"""A typed client of the API: `Client` waits, `AsyncClient` is awaited; both watch rooms without losing an event."""

from __future__ import annotations

from agentrooms.client.calls.agents import Trader
from agentrooms.client.clients import AsyncClient, Client
from agentrooms.client.feed import RoomFeed, SyncRoomFeed
from agentrooms.client.following import FeedRefused, LogChanged
from agentrooms.client.problem import AnswerUnreadable, ApiProblem, ApiUnreachable
from agentrooms.client.signing import sign_typed

__all__ = [
    "AnswerUnreadable",
    "ApiProblem",
    "ApiUnreachable",
    "AsyncClient",
    "Client",
    "FeedRefused",
    "LogChanged",
    "RoomFeed",
    "SyncRoomFeed",
    "Trader",
    "sign_typed",
]
