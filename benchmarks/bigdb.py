"""Makes a state folder as after long use: many accounts, conversations and messages.

`python -m benchmarks.bigdb FOLDER` makes one and prints the tokens that `benchmarks.load big` needs. No
daemon writes it, but it has the form that a daemon would give it: conversations are numbered without gaps,
their messages are interleaved, some people and groups write far more than others, and some read everything,
some nothing. The same arguments give the same database, except for its times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import Table, insert

from benchmarks.crowd import PASSWORD, names
from chatd.base.roles import OPERATOR
from chatd.base.tokens import hash_token
from chatd.store.engine import connect
from chatd.store.migrate import prepare
from chatd.store.schema import accounts as accounts_table
from chatd.store.schema import conversations, groups, messages, participants, roles, sessions

ACCOUNTS = 100_000
MESSAGES = 1_000_000
# For the default size. Other sizes have as many for each account.
DIRECTS = 20_000
GROUPS = 500
MEMBERS = 20
#: One of so many accounts is in any conversation.
ACTIVE = 5
#: How unevenly people and conversations are used; 1 is evenly.
SKEW = 1.5
#: One of so many messages is in a group.
IN_GROUPS = 3
CHUNK = 50_000

#: The accounts that measure. They have a conversation, and are neither very active nor inactive.
USER, PEER = "u0100", "u0200"

WORDS = (
    "halo selamat malam apa kabar besok kita rapat jam sembilan di ruang tiga jangan lupa bawa "
    "laporan dan foto pokijan terima kasih sampai jumpa lagi kalau hujan tunggu saja di kantin "
)

# A table, the columns to fill, and its rows.
Rows = tuple[Table, list[str], Iterable[tuple[Any, ...]]]


@dataclass
class Conversation:
    """The rows in `participants`: account numbers, counted from 0."""

    members: Sequence[int]
    group: bool
    last: int = 0


@dataclass
class World:
    """All random decisions, in memory, before anything is written."""

    people: list[str]
    conversations: list[Conversation]
    messages: int
    dice: random.Random
    now: int
    said: list[int] = field(default_factory=list)

    def some_person(self, active: int) -> int:
        return int(active * self.dice.random() ** SKEW)


def fill(
    state_folder: Path, password_hash: str, accounts: int = ACCOUNTS, messages: int = MESSAGES
) -> dict[str, str]:
    """Make the database in `state_folder`, which must not have one. All accounts have the same password.
    Returns the session tokens of `USER` and `PEER`."""
    if accounts < 1000:
        raise ValueError("at least 1,000 accounts are needed")
    state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state_folder / "chatd.db"
    if path.exists():
        raise FileExistsError(path)
    world = _imagine(accounts, messages)
    tokens = {name: f"token-of-{name}" for name in (USER, PEER)}
    engine = connect(f"sqlite:///{path}")
    prepare(engine)
    engine.dispose()  # its connections would use the old settings
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        # Nothing is lost if this is interrupted, and no other process uses the database.
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "foreign_keys = OFF"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute("BEGIN")
        for table, columns, rows in _tables(world, password_hash, tokens):
            statement = insert(table).compile(dialect=engine.dialect, column_keys=columns)
            assert statement.positiontup == columns
            for chunk in _chunks(rows):
                cursor.executemany(str(statement), chunk)
        cursor.execute("COMMIT")
        cursor.execute("PRAGMA journal_mode = WAL")
    finally:
        raw.close()
        engine.dispose()
    _sync(path)
    return tokens


def _imagine(accounts: int, messages: int) -> World:
    dice = random.Random(accounts * 31 + messages)  # noqa: S311 - the same each time, not secret
    world = World(names(1, accounts), [], messages, dice, int(time.time() * 1000))
    active = accounts // ACTIVE
    index = {name: number for number, name in enumerate(world.people[:active])}
    pairs = {(index[USER], index[PEER])}
    while len(pairs) < DIRECTS * accounts // ACCOUNTS:
        one, other = sorted((world.some_person(active), world.some_person(active)))
        if one != other:
            pairs.add((one, other))
    world.conversations = [Conversation(pair, group=False) for pair in pairs]
    for _ in range(GROUPS * accounts // ACCOUNTS):
        members: set[int] = set()
        while len(members) < MEMBERS:
            members.add(world.some_person(active))
        world.conversations.append(Conversation(sorted(members), group=True))
    # From here on the index of a conversation is its id minus one, and its rank by use.
    dice.shuffle(world.conversations)
    used = [number for number, each in enumerate(world.conversations) if each.group]
    pool = {True: used, False: [n for n in range(len(world.conversations)) if n not in set(used)]}
    for _ in range(messages):
        some = pool[dice.random() * IN_GROUPS < 1]
        place = some[int(len(some) * dice.random() ** SKEW)]
        world.conversations[place].last += 1
        world.said.append(place)
    return world


def _tables(world: World, password_hash: str, tokens: dict[str, str]) -> Iterator[Rows]:
    """Each table with the columns to fill, and its rows."""
    begin = world.now - 365 * 86_400_000
    yield from _account_tables(world, password_hash, tokens, begin)
    yield from _conversation_tables(world, begin)


def _account_tables(
    world: World, password_hash: str, tokens: dict[str, str], begin: int
) -> Iterator[Rows]:
    now, people = world.now, world.people
    index = {name: number for number, name in enumerate(people)}
    yield (
        accounts_table,
        ["id", "name", "key", "password", "display_name", "country", "created_at"],
        (
            (number, name, name, password_hash, name.title(), "Indonesia", begin)
            for number, name in enumerate(people, 1)
        ),
    )
    yield roles, ["account_id", "role"], [(1, OPERATOR)]
    yield (
        sessions,
        ["token_hash", "account_id", "created_at", "expires_at"],
        (
            (hash_token(token), index[name] + 1, now, now + 30 * 86_400_000)
            for name, token in tokens.items()
        ),
    )


def _conversation_tables(world: World, begin: int) -> Iterator[Rows]:
    yield (
        conversations,
        ["id", "kind", "created_at"],
        (
            (number, "group" if each.group else "direct", begin)
            for number, each in enumerate(world.conversations, 1)
        ),
    )
    yield (
        groups,
        ["conversation_id", "name", "key", "code"],
        (
            (number, f"group-{number}", f"group-{number}", f"{number:06d}")
            for number, each in enumerate(world.conversations, 1)
            if each.group
        ),
    )
    yield (
        participants,
        ["account_id", "conversation_id", "peer", "peer_key", "read_seq", "admin", "joined_at"],
        _participants(world, begin),
    )
    yield (
        messages,
        ["id", "conversation_id", "seq", "sender_id", "sender", "at", "text"],
        _messages(world, begin),
    )


def _participants(world: World, begin: int) -> Iterator[tuple[Any, ...]]:
    """Half of all have read everything, some stopped somewhere, the rest never began."""
    dice = world.dice
    for number, each in enumerate(world.conversations, 1):
        for place, member in enumerate(each.members):
            mood = dice.random()
            read = each.last if mood < 0.5 else int(each.last * dice.random()) * (mood < 0.8)
            peer = None if each.group else world.people[each.members[1 - place]]
            admin = each.group and place == 0
            yield member + 1, number, peer, peer, read, admin, begin


def _messages(world: World, begin: int) -> Iterator[tuple[Any, ...]]:
    """The messages in the order of sending, over a year."""
    dice = world.dice
    step = (world.now - begin) // max(1, world.messages)
    seqs = [0] * len(world.conversations)
    for ident, place in enumerate(world.said, 1):
        seqs[place] = seq = seqs[place] + 1
        members = world.conversations[place].members
        sender = members[int(len(members) * dice.random())]
        start = int(100 * dice.random())
        text = WORDS[start : start + 10 + int(80 * dice.random())]
        yield ident, place + 1, seq, sender + 1, world.people[sender], begin + ident * step, text


def _chunks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    chunk: list[tuple[Any, ...]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    yield chunk


def _sync(path: Path) -> None:
    """Write everything to disk, so that the disk is not busy with it during the measurement."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.bigdb", description=__doc__)
    options.add_argument("folder", type=Path, help="the state folder, without a database")
    options.add_argument("--accounts", type=int, default=ACCOUNTS)
    options.add_argument("--messages", type=int, default=MESSAGES)
    options.add_argument("--tokens", type=Path, help="write the session tokens to this file")
    chosen = options.parse_args(arguments)
    began = time.monotonic()
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    tokens = fill(chosen.folder, hasher.hash(PASSWORD), chosen.accounts, chosen.messages)
    if chosen.tokens is not None:
        chosen.tokens.write_text(json.dumps(tokens))
    report = {
        "user": USER,
        "to": PEER,
        "tokens": tokens,
        "bytes": (chosen.folder / "chatd.db").stat().st_size,
        "seconds": round(time.monotonic() - began, 1),
    }
    json.dump(report, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
