"""The accounts of `--demo`: three who have been in this since the first of the five systems."""

from __future__ import annotations

import time

from sqlalchemy import Engine

from chatd.errors import UserExists
from chatd.passwords import Passwords
from chatd.store.accounts import add_account

PASSWORD = "surabaya"  # noqa: S105 - known to everybody, which is the point of it
ACCOUNTS = (
    ("messi", "Lionel Messi", "Argentina"),
    ("henderson", "Jordan Henderson", "Inggris"),
    ("lineker", "Gary Lineker", "Inggris"),
)


def add_demo_accounts(engine: Engine, passwords: Passwords) -> None:
    """Make those that are not there yet. Blocks: for the start only."""
    hashed = passwords.hash_now(PASSWORD)
    now = int(time.time() * 1000)
    for name, display_name, country in ACCOUNTS:
        try:
            with engine.begin() as connection:
                add_account(connection, name, hashed, display_name, country, now)
        except UserExists:
            continue
