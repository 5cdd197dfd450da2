"""Creates accounts of other systems in the running realm, one after the other, as `user add` does.

It can be repeated: what is there is left as it is. So an import that was interrupted is started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chatd.base.errors import StorageFailed, UnknownUser
from chatd.ctl.exits import RefusedByRealm
from chatd.ctl.output import printable
from chatd.ctl.password_file import PasswordFile
from chatd.ctl.people import NewPerson

# Sends a command to the realm, and returns its reply. Raises NotReached.
Ask = Callable[[str, Mapping[str, Any]], dict[str, Any]]


class Import:
    """An import, and the report of what it has done."""

    def __init__(self, ask: Ask, passwords: PasswordFile) -> None:
        self._ask = ask
        self._passwords = passwords
        self._counts: dict[str, int] = {}
        self._refused: list[dict[str, Any]] = []

    def add_people(self, people: Iterable[NewPerson]) -> None:
        """Create the accounts that are not there. Raises CtlError if the realm can't go on."""
        self._count("created", 0)
        self._count("known", 0)
        for person in people:
            where = {"line": person.line, "name": person.name}
            found = self._ask("admin.user.show", {"user": person.name})
            if found["status"] == "OK":
                self._count("known")
            elif found.get("code") != UnknownUser.code:
                self.refuse(where, found)
            else:
                self.do("created", where, "admin.user.add", self._account(person))

    def _account(self, person: NewPerson) -> dict[str, Any]:
        """The arguments of the command that creates an account."""
        password = person.password or self._passwords.password_for(person.name)
        given = {"user": person.name, "password": password}
        chosen = {"name": person.display_name, "country": person.country}
        return given | {key: value for key, value in chosen.items() if value}

    def do(self, what: str, where: Mapping[str, Any], verb: str, given: Mapping[str, Any]) -> None:
        """Send a command, and count it as `what`, or as refused. Raises CtlError if the realm can't go on."""
        reply = self._ask(verb, given)
        if reply["status"] == "OK":
            self._count(what)
        else:
            self.refuse(where, reply)

    def refuse(self, where: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        """Note a refusal. Raises RefusedByRealm if everything after it would be refused, too."""
        sentence = str(reply.get("message"))
        if reply.get("code") == StorageFailed.code:
            done = ", ".join(f"{count} {what}" for what, count in self._counts.items())
            raise RefusedByRealm(f"{printable(sentence)}; so far {done}; start the import again")
        self._refused.append({**where, "reason": sentence})

    def _count(self, what: str, more: int = 1) -> None:
        self._counts[what] = self._counts.get(what, 0) + more

    def report(self) -> dict[str, Any]:
        """What was done, in the form of a reply."""
        refused = len(self._refused)
        made = str(self._passwords.path) if self._passwords.made else None
        done = ", ".join(f"{count} {what}" for what, count in self._counts.items())
        return {
            "status": "OK",
            "message": f"{done}, {refused} refused",
            **self._counts,
            "refused": refused,
            **({} if made is None else {"passwords": made}),
            "refusals": self._refused,
        }
