"""Who is connected, in Redis (`ws:session:{id}`, PRD 7.5). It may be lost, and comes back by itself.

The PRD lets a session's key live until it is closed; ours end by themselves soon after nobody refreshes them, so a
process that is killed leaves none.
"""

from __future__ import annotations

import time

import redis

from agentrooms.projections.redis_stats import Session, close_session, open_session

TTL_S = 60
REFRESH_S = 20.0
RETRY_S = 1.0  # how long Redis is left alone after it did not answer


class Presence:
    """The sessions of this process. `note` and `forget` return at once; `write`, on another thread, tells Redis."""

    def __init__(self, redis_client: redis.Redis) -> None:
        self._redis = redis_client
        self._sessions: dict[str, Session] = {}
        self._changed: set[str] = set()
        self._due_s = 0.0

    def note(self, id: str, session: Session) -> None:
        """Shows a session, or how it has changed."""
        self._sessions[id] = session
        self._changed.add(id)

    def forget(self, id: str) -> None:
        """Shows a session no longer."""
        if self._sessions.pop(id, None) is not None:
            self._changed.add(id)

    def write(self) -> None:
        """Tells Redis what has changed, and everything when it is time. Never raises for Redis."""
        now_s = time.monotonic()
        changed, self._changed = self._changed, set()
        everything = now_s >= self._due_s
        sessions = dict(self._sessions)
        if not changed and not (everything and sessions):
            return
        pipeline = self._redis.pipeline(transaction=False)
        for id_ in changed - sessions.keys():
            close_session(pipeline, id_)
        for id_ in sessions if everything else changed & sessions.keys():
            open_session(pipeline, id_, sessions[id_])
            pipeline.expire(f"ws:session:{id_}", TTL_S)
        try:
            pipeline.execute()
            if everything:
                self._due_s = now_s + REFRESH_S
        except (redis.RedisError, OSError):
            self._due_s = now_s + RETRY_S
