"""The how-tos of the client do what they say, against a running API."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrooms.api.home import Home
from agentrooms.live.commands import OpenRoom
from tests.docs.blocks import DOCS, carry_out, not_printed
from tests.docs.test_howtos import SERVED


@pytest.mark.parametrize("name", SERVED)
def test_the_code_of_a_page_works(
    name: str, url: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTROOMS_URL", url)
    home.asking.ask(OpenRoom(id="howtos", name="The how-tos'", collection=None))
    page = DOCS / "how-to" / f"{name}.md"

    said = carry_out(page, tmp_path)

    assert not_printed(page, said) == [], said
