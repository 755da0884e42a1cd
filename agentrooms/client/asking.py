"""How one description of an operation becomes a method of both clients, typed in each."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from agentrooms.client.call import Call

Params = ParamSpec("Params")
Answer = TypeVar("Answer")


class SyncAsking(ABC):
    """A client whose calls wait for their answers."""

    @abstractmethod
    def ask(self, call: Call[Answer]) -> Answer:
        """Returns the answer of a call."""


class AsyncAsking(ABC):
    """A client whose calls are awaited."""

    @abstractmethod
    async def ask(self, call: Call[Answer]) -> Answer:
        """Returns the answer of a call."""


class Operation(Generic[Params, Answer]):
    """A method of both clients: it makes a call and asks it."""

    def __init__(self, make: Callable[Params, Call[Answer]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: SyncAsking, owner: type[Any]) -> Callable[Params, Answer]: ...
    @overload
    def __get__(self, client: AsyncAsking, owner: type[Any]) -> Callable[Params, Awaitable[Answer]]: ...
    @overload
    def __get__(self, client: None, owner: type[Any]) -> Self: ...
    def __get__(self, client: SyncAsking | AsyncAsking | None, owner: type[Any]) -> Any:
        """Returns the method of one client."""
        if client is None:
            return self

        @functools.wraps(self.make)
        def ask(*values: Params.args, **named: Params.kwargs) -> Any:  # noqa: ANN401 - an answer, or what is awaited for it
            return client.ask(self.make(*values, **named))

        return ask
