"""Seeing that a process is gone."""

from __future__ import annotations

import time

import psutil

GONE_TIMEOUT_S = 60
POLL_S = 0.01


def gone(process: psutil.Process) -> bool:
    """Waits until a process has ended; one that nobody has reaped yet has."""
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(POLL_S)
    return False
