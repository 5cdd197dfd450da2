"""Reads what the older systems keep on disk: accounts, and groups with their members.

Three of the five keep nothing but the files that people have sent. Tugas 4 has an SQLite database, py-chat a
MongoDB database, whose collections `mongoexport` writes as JSON. Their documents do not say what columns
and fields are called. So each is found by the names that such systems use.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from chatd.ctl.exits import WrongUsage
from chatd.ctl.people import NewPerson, OldGroup, read_bytes

MAX_ROWS = 100_000  # of a table
MAX_EXPORT = 64 << 20  # bytes of an exported collection
DATABASE = "progjar.db"

USERNAME = ("username", "user_name", "user", "name", "nama")
PASSWORD = ("password", "passwd", "pass")
DISPLAY_NAME = ("display_name", "displayname", "fullname", "nama", "name")
GROUP_NAME = ("groupname", "group_name", "groupchat", "group", "name", "nama")
MEMBER = ("username", "user_name", "user", "member", "user_id", "id_user", "userid")
MEMBER_GROUP = (*GROUP_NAME, "group_id", "id_group", "groupid", "groupchat_id", "id_groupchat")
MEMBERS = ("members", "member", "users", "user_list", "usernames")
CODES = ("code", "group_code", "_id", "id")
KEY = "rowid"


class OldData(msgspec.Struct, frozen=True):
    """What an older system has kept."""

    people: list[NewPerson]
    groups: list[OldGroup]


class KeepsNothing(WrongUsage):
    """The system keeps no accounts, groups and messages on disk."""


def read_tugas4(path: Path) -> OldData:
    """What is in the database of Tugas 4, or in the folder that has it. Raises WrongUsage."""
    path = path / DATABASE if path.is_dir() else path
    if not path.is_file():
        raise WrongUsage(f"there is no {path}; expected the {DATABASE} of Tugas 4")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            users = _table(path, database, "user", required=True)
            groups = _table(path, database, "groupchat")
            members = _table(path, database, "user_group")
    except sqlite3.Error as error:
        raise WrongUsage(f"{path} can't be read as an SQLite database: {error}") from None
    people = _people(users)
    of_user = _names(users, USERNAME, (KEY, "id", "id_user", "user_id"))
    of_group = _names(groups, GROUP_NAME, (KEY, "id", "id_group", "group_id"))
    known = {each.name for each in people}
    found: dict[str, list[str]] = {name: [] for name in of_group.values()}
    for row in members:
        group = _text(_value(row, MEMBER_GROUP))
        member = _text(_value(row, MEMBER))
        group = group if group in found else of_group.get(group, group)
        member = member if member in known else of_user.get(member, member)
        found.setdefault(group, []).append(member)
    return OldData(people, [_group(name, each) for name, each in found.items() if name])


def read_pychat(path: Path) -> OldData:
    """What is in a folder with the collections of py-chat, as `mongoexport` writes them: `user.json` or
    `users.json`, and `group.json` or `groups.json`. Raises WrongUsage."""
    users = _collection(path, "user")
    if users is None:
        raise WrongUsage(f"{path} has no user.json or users.json; write it with mongoexport")
    groups = _collection(path, "group") or []
    names = _names(users, USERNAME, CODES)
    joined: dict[str, list[str]] = {}
    for user in users:
        for code in _texts(_value(user, ("groups", "group_list", "group"))):
            joined.setdefault(code, []).append(_text(_value(user, USERNAME)))
    found = []
    for group in groups:
        members = [names.get(each, each) for each in _texts(_value(group, MEMBERS))]
        for code in CODES:
            members += joined.get(_text(group.get(code)), [])
        if name := _text(_value(group, GROUP_NAME)):
            found.append(_group(name, members))
    return OldData(_people(users), found)


def _keeps_nothing(path: Path) -> OldData:
    raise KeepsNothing(
        "this system keeps accounts, groups and messages in memory only; create its accounts with "
        "chatctl user import FILE"
    )


SYSTEMS: Mapping[str, Callable[[Path], OldData]] = {
    "kelompok3": _keeps_nothing,
    "bagan": _keeps_nothing,
    "urlencoded": _keeps_nothing,
    "tugas4": read_tugas4,
    "pychat": read_pychat,
}


def _table(
    path: Path, database: sqlite3.Connection, name: str, required: bool = False
) -> list[dict[str, Any]]:
    """The rows of a table. The names of columns are in lower case. Raises WrongUsage, sqlite3.Error."""
    known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    if database.execute(known, (name,)).fetchone() is None:
        if required:
            raise WrongUsage(f"{path} has no table {name}; expected the {DATABASE} of Tugas 4")
        return []
    every = f'SELECT rowid AS {KEY}, * FROM "{name}" ORDER BY rowid LIMIT {MAX_ROWS}'  # noqa: S608 - no input
    rows = database.execute(every)
    columns = [each[0].lower() for each in rows.description]
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _collection(folder: Path, name: str) -> list[Mapping[str, Any]] | None:
    """The documents of an exported collection: one a line, or an array. None if it is not there. Raises
    WrongUsage."""
    for path in (folder / f"{name}s.json", folder / f"{name}.json"):
        if path.is_file():
            data = read_bytes(path, MAX_EXPORT)
            try:
                text = data.decode("utf-8-sig")
                array = text.lstrip().startswith("[")
                lines = (line for line in text.splitlines() if line.strip())
                found = json.loads(text) if array else [json.loads(line) for line in lines]
            except (ValueError, RecursionError) as error:
                raise WrongUsage(f"{path} is no export of mongoexport: {error}") from None
            return [each for each in found if isinstance(each, dict)]
    return None


def _people(rows: Iterable[Mapping[str, Any]]) -> list[NewPerson]:
    found = []
    for number, row in enumerate(rows, 1):
        name = _text(_value(row, USERNAME))
        shown = _text(_value(row, DISPLAY_NAME))
        if name:
            display = "" if shown == name else shown
            found.append(NewPerson(number, name, display, _text(_value(row, PASSWORD))))
    return found


def _names(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], keys: Sequence[str]
) -> dict[str, str]:
    """The names of the rows, by what else refers to them."""
    found: dict[str, str] = {}
    for row in rows:
        name = _text(_value(row, columns))
        found |= {_text(row[key]): name for key in keys if key in row and name}
    return found


def _group(name: str, members: Iterable[str]) -> OldGroup:
    """A group with a name that groups may have here. One with spaces keeps it as its title."""
    short = "-".join(name.split())
    known = tuple(dict.fromkeys(each for each in members if each))
    return OldGroup(short, known, "" if short == name else name)


def _value(row: Mapping[str, Any], columns: Iterable[str]) -> Any:
    """The value in the first of `columns` that the row has."""
    return next((row[each] for each in columns if each in row), None)


def _texts(value: Any) -> list[str]:
    """The texts in a list, or those under the usual names in a list of objects."""
    if not isinstance(value, list):
        return []
    named = (*USERNAME, *CODES)
    found = (
        _value(each, named) if isinstance(each, dict) and "$oid" not in each else each
        for each in value
    )
    return [text for text in map(_text, found) if text]


def _text(value: Any) -> str:
    """A value as text; empty for what is none. An id of MongoDB is the text within it."""
    if isinstance(value, dict):
        value = value.get("$oid")
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
