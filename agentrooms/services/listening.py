"""Sockets that listen for TCP connections."""

from __future__ import annotations

import socket

from agentrooms.errors import AgentroomsError

BACKLOG = 2_048  # connections that wait to be taken


class PortTaken(AgentroomsError):
    """Nothing can listen at an address."""


def listening(host: str, port: int) -> socket.socket:
    """Returns a socket that listens. Raises PortTaken.

    It is named as TCP, or asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for an acknowledgement.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"port {port} of {host} cannot be used: {error}",
            hint="is a system running there already? Else take another port: API_PORT is the API's, 0 is any that is free",
        ) from error
    return listener
