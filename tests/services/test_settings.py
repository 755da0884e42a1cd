"""Settings come from the environment and `.env`; a bad one is named, a secret is not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrooms.services.settings import Settings, SettingsInvalid, example, load_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this machine's environment nor a `.env` of the checkout takes part."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_example_file_is_current() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == example()


def test_the_example_as_it_stands_changes_nothing(tmp_path: Path) -> None:
    plain = load_settings()
    (tmp_path / ".env").write_text(example(), encoding="utf-8")
    assert load_settings() == plain


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("AGENTS_PER_ACTOR=7\nAGENTROOMS_CPUS=3\nOTHER=x\n")
    monkeypatch.setenv("AGENTS_PER_ACTOR", "12")
    settings = load_settings()
    assert (settings.agents_per_actor, settings.agentrooms_cpus) == (12, 3)


def test_an_empty_value_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().database_url is None


def test_a_password_is_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/x")
    settings = load_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith("hunter2@db/x")
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://me:hunter2@db/x"),
        ("REDIS_URL", "http://hunter2"),
        ("AGENTS_PER_ACTOR", "0"),
        ("AGENTS_PER_ACTOR", "1001"),
        ("AGENTS_PER_ACTOR", "many"),
        ("AGENTROOMS_CPUS", "0"),
        ("AGENTROOMS_CPUS", "two"),
        ("IPFS_GATEWAY", "http://ipfs.example"),
        ("IPFS_GATEWAY", "https://ipfs.example/ipfs"),
    ],
)
def test_a_bad_value_is_named_once_and_no_secret_with_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert str(caught.value).count(name) == 1
    assert "hunter2" not in str(caught.value)


def test_production_reaches_no_private_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_PRIVATE", "true")
    assert load_settings().outbound_private
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(SettingsInvalid, match="OUTBOUND_PRIVATE"):
        load_settings()
    monkeypatch.setenv("OUTBOUND_PRIVATE", "false")
    assert not load_settings().outbound_private
