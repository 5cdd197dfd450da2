"""The two realms of the demo: their accounts, doors and configurations.

The accounts come from the first of the five chat systems that chatd replaces.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from chatd.base.config import Config, PeersConfig
from chatd.base.errors import UserExists
from chatd.service.passwords import Passwords
from chatd.store.accounts import add_account
from chatd.store.operators import appoint

PASSWORD = "surabaya"  # noqa: S105 - known to everybody, which is the point of it
ACCOUNTS = (
    ("messi", "Lionel Messi", "Argentina"),
    ("henderson", "Jordan Henderson", "Inggris"),
    ("lineker", "Gary Lineker", "Inggris"),
)
FOLDER = Path("var/demo")  # has a folder for each realm
NAMES = ("realm1", "realm2")
SHIFT = 100  # added to the ports of the second realm


def add_demo_accounts(engine: Engine, passwords: Passwords) -> None:
    """Create the accounts that do not exist yet; the first one is the operator. Blocks, so it runs only at
    the start."""
    hashed = passwords.hash_now(PASSWORD)
    now = int(time.time() * 1000)
    for name, display_name, country in ACCOUNTS:
        with suppress(UserExists), engine.begin() as connection:
            account = add_account(connection, name, hashed, display_name, country, now)
            if name == ACCOUNTS[0][0]:
                appoint(connection, account.id)


def demo_config(config: Config, here: Path, second: bool = False) -> Config:
    """The configuration of a demo realm. It takes only accounts, limits and log from `config`, so that the
    demo accounts never get into the state of a real realm."""
    name = NAMES[second]
    return Config(
        realm=name,
        state=(here / FOLDER / name).resolve(),
        listen=demo_doors(second),
        accounts=msgspec.structs.replace(config.accounts, registrations_per_hour=0),
        peers=PeersConfig(add="anyone", private=True, strangers="welcome"),
        limits=config.limits,
        log=config.log,
    )


def demo_doors(second: bool) -> dict[str, str]:
    """The doors of a demo realm: the default ones on loopback, with SHIFT added for the second realm."""

    def shifted(match: re.Match[str]) -> str:
        return f"tcp:{int(match[1]) + SHIFT * second}"

    return {
        door: re.sub(r"^tcp:(\d+)", shifted, endpoint) for door, endpoint in Config().listen.items()
    }
