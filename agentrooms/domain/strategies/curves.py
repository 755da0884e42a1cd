"""Concession curves: how much of the way from start to limit an agent has given, in permille, by elapsed time in permille.

Faratin, Sierra and Jennings (1998): price(t) = start + (limit - start) * t**(1/beta). Below 1, beta holds
out (Boulware); at 1 it is linear; above 1 it yields early (conceder). In integers, so all machines agree.
"""

from __future__ import annotations

from agentrooms.domain.market import PERMILLE

CUBE = 3


def boulware(elapsed_permille: int, power: int) -> int:
    """Returns t**power, power = 1/beta: little is given until late."""
    given: int = elapsed_permille**power // PERMILLE ** (power - 1)
    return given


def conceder(elapsed_permille: int) -> int:
    """Returns t**(1/3), beta = 3: much is given early."""
    return _CUBE_ROOTS[elapsed_permille]


def ramp(elapsed_permille: int, begins_permille: int) -> int:
    """Returns 0 until the ramp begins, then a straight line to 1000 at the end."""
    late = max(0, elapsed_permille - begins_permille)
    return late * PERMILLE // (PERMILLE - begins_permille)


def _cube_roots() -> tuple[int, ...]:
    """Returns for each permille t the largest r whose cube is at most t, both as parts of one."""
    roots, root = [], 0
    for t in range(PERMILLE + 1):
        while (root + 1) ** CUBE <= t * PERMILLE ** (CUBE - 1):
            root += 1
        roots.append(root)
    return tuple(roots)


_CUBE_ROOTS = _cube_roots()
