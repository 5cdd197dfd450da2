"""ChatService, the shared object behind every protocol: accounts, groups, messages, rooms and files.

It knows no socket, no clock and no wire: time, randomness and the threads' reactor are given to it, and
connections reach it as `IListener`s (chatd.presence) through a `Client` (chatd.session).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.accounts import Accounts
from chatd.config import Config
from chatd.files import Files
from chatd.groups import Groups
from chatd.messages import Messages
from chatd.passwords import Passwords
from chatd.presence import Presence
from chatd.rooms import Rooms
from chatd.store.database import Database
from chatd.uploads import Uploads


class ChatService:
    """All that one realm holds. `random_bytes(n)` makes tokens and codes."""

    def __init__(
        self,
        config: Config,
        clock: Any,
        database: Database,
        passwords: Passwords,
        uploads: Uploads,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.config = config
        self.clock = clock
        self.database = database
        self.presence = Presence()
        database.on_settled(self.presence.flush)
        self.rooms = Rooms()
        self.accounts = Accounts(config, clock, database, passwords, self.presence, random_bytes)
        self.groups = Groups(database, self.accounts, self.presence, random_bytes)
        self.messages = Messages(
            database, self.accounts, self.groups, self.presence, config.limits.message
        )
        self.files = Files(
            config.limits, database, self.accounts, self.messages, uploads, random_bytes
        )
