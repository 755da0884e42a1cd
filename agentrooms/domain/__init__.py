"""Pure deciders and strategies: no I/O, no clock, no randomness of their own."""

from agentrooms.errors import UNGUARDED, AgentroomsError

if not __debug__:  # everything that decides about money imports this package
    raise AgentroomsError(UNGUARDED)
