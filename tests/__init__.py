"""The tests, and how thoroughly Hypothesis tries: every runner imports this before any of them.

The profile `ci` tries few examples and the same ones in each run, so that no run fails by chance. The profile
`thorough` searches for new ones. The environment variable HYPOTHESIS_PROFILE chooses.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

# Where Hypothesis keeps the tables of Unicode that it computes: the scratch folder of the tests goes away.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(__file__).resolve().parents[1] / ".hypothesis")
)

# How long an example takes says more about the load of the machine than about the code.
_SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("ci", _SETTINGS, max_examples=40, derandomize=True, database=None)
settings.register_profile("thorough", _SETTINGS, max_examples=1000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)

#: Runs of a random test in which each run has many steps.
RANDOM_RUNS = settings().max_examples // 5

#: Whether the tests of the service use PostgreSQL in place of SQLite.
ON_POSTGRES = os.environ.get("CHATD_TESTS_ON") == "postgres"
if ON_POSTGRES:
    from tests.support.postgres import MISSING
    from tests.support.postgres_pool import use_postgres

    if not use_postgres():
        raise SystemExit(MISSING)
