"""The library's own tests of DCB recorders, over its in-memory recorder and ours in Postgres.

They are `DCBRecorderTestCase` in `eventsourcing.dcb.tests`, which the 9.5 wheels carry (eventsourcing, (c) John
Bywater, BSD-3-Clause); they are run from there, not copied. Excluded, since they are about the library's own
Postgres recorder and live in its repository alone:

- its tests of unsupported queries (types without tags): ours supports every query;
- its tests of table creation, identifier lengths and the infrastructure factory: our tables come from migrations;
- its concurrent-append case: it counts on the library's pool; `test_log_writer.py` has ours.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from eventsourcing.dcb.api import DCBAppendCondition, DCBEvent, DCBQuery, DCBQueryItem, DCBRecorder
from eventsourcing.dcb.popo import InMemoryDCBRecorder
from eventsourcing.dcb.tests import DCBRecorderTestCase
from eventsourcing.persistence import IntegrityError, ProgrammingError

from agentrooms.events.dcb import PostgresRecorder
from agentrooms.events.postgres_log import PostgresLog
from tests.events.stores import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("stores")


def in_postgres() -> DCBRecorder:
    log = PostgresLog(*SCHEMAS.fresh("recorder"))
    SCHEMAS.keep("recorder", log)
    return PostgresRecorder(log)


RECORDERS: dict[str, Callable[[], DCBRecorder]] = {"memory": InMemoryDCBRecorder, "Postgres": in_postgres}


@pytest.fixture(params=RECORDERS)
def recorder(request: pytest.FixtureRequest) -> DCBRecorder:
    return RECORDERS[request.param]()


class Library(DCBRecorderTestCase):
    """Gives access to the library's checks, which it names as private ones."""

    append_read = DCBRecorderTestCase._test_append_read
    append_subscribe = DCBRecorderTestCase._test_append_subscribe

    __test__ = False


def test_appending_and_reading(recorder: DCBRecorder) -> None:
    Library().append_read(recorder)


def test_subscribing(recorder: DCBRecorder) -> None:
    Library().append_subscribe(recorder)
    gc.collect()  # a connection or thread left open would be reported here


def test_the_suite_of_this_release_holds_no_other_check() -> None:
    """A new one in a later release must be run too."""
    checks = {name for name in vars(DCBRecorderTestCase) if name.startswith(("test", "_test"))}
    assert checks == {"_test_append_read", "_test_append_subscribe"}


def test_types_without_tags_may_be_asked_for(recorder: DCBRecorder) -> None:
    """What the library's Postgres recorder does not support, in reading and in conditions."""
    recorder.append([DCBEvent(name, b"", []) for name in "abc"])
    query = DCBQuery([DCBQueryItem(types=["a", "c"]), DCBQueryItem(types=["b"], tags=["x"])])
    assert [found.event.type for found in recorder.read(query)] == ["a", "c"]
    with pytest.raises(IntegrityError):
        recorder.append([DCBEvent("d", b"", [])], DCBAppendCondition(query, after=2))
    assert recorder.append([DCBEvent("d", b"", [])], DCBAppendCondition(query, after=3)) == 4


def test_an_append_of_nothing_is_refused(recorder: DCBRecorder) -> None:
    with pytest.raises(ProgrammingError):
        recorder.append([])
