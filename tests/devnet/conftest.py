"""The engines, for all tests here."""

from tests.devnet.engines import engine, engine_kind

__all__ = ["engine", "engine_kind"]
