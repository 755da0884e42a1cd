"""Asks what the OpenAPI document allows and forbids for as long as one likes: `python -m tests.api.schema_campaign`."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import traceback
from pathlib import Path

from agentrooms.services.postgres import Postgres
from agentrooms.services.redis import Redis
from tests.api.fuzzing import KINDS, MODES, OPERATIONS, fuzz
from tests.api.market import market_in


def main() -> int:
    """Returns 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="of each kind for each operation")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("operations", nargs="*", default=list(OPERATIONS), metavar="operation", help="by their ids")
    given = parser.parse_args()
    print(f"--seed {given.seed}", flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        postgres, redis = Postgres(Path(folder, "postgres")), Redis(Path(folder, "redis"))
        try:
            with market_in(postgres.start(), redis.start(), Path(folder, "data")) as market:
                assert market.run
                for operation, mode in KINDS:
                    if operation not in given.operations:
                        continue
                    try:
                        successes = fuzz(market, operation, MODES[mode], given.examples, given.seed)
                        print(f"{operation}, {mode}: right, {successes} successes", flush=True)
                    except Exception:  # noqa: BLE001 - told, and the next kind is tried
                        wrong += 1
                        print(f"{operation}, {mode}: wrong", flush=True)
                        traceback.print_exc()
        finally:
            redis.stop()
            postgres.stop()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
