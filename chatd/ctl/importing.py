"""Creates accounts of other systems in the running realm, one after the other, as `user add` does.

It can be repeated: what is there is left as it is. So an import that was interrupted is started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from chatd.base.errors import AlreadyMember, GroupExists, StorageFailed, UnknownUser, WeakPassword
from chatd.ctl.exits import RefusedByRealm
from chatd.ctl.output import printable
from chatd.ctl.people import NewPerson, OldGroup
from chatd.ctl.secret_files import InvitationFile, PasswordFile

# Sends a command to the realm, and returns its reply. Raises NotReached.
Ask = Callable[[str, Mapping[str, Any]], dict[str, Any]]


class _NotInvited(Exception):
    """The realm has refused to make an invitation."""


class Import:
    """An import, and the report of what it has done."""

    def __init__(
        self, ask: Ask, passwords: PasswordFile, invitations: InvitationFile | None = None
    ) -> None:
        """With `invitations`, people without a password are invited, and else they get an account with a new
        one."""
        self._ask = ask
        self._passwords = passwords
        self._invitations = invitations
        self._counts: dict[str, int] = {}
        self._refused: list[dict[str, Any]] = []

    def add_people(self, people: Iterable[NewPerson], replace_weak: bool = False) -> None:
        """Create the accounts that are not there. With `replace_weak`, those whose passwords are refused get
        new ones. Raises CtlError if the realm can't go on."""
        self._count("created", 0)
        self._count("known", 0)
        for person in people:
            where = {"line": person.line, "name": person.name}
            found = self._ask("admin.user.show", {"user": person.name})
            if found["status"] == "OK":
                self._count("known")
            elif found.get("code") != UnknownUser.code:
                self.refuse(where, found)
            elif self._invitations is not None and not person.password:
                self._invite(where, person, self._invitations)
            else:
                self._add(where, person, replace_weak)

    def _invite(
        self, where: Mapping[str, Any], person: NewPerson, invitations: InvitationFile
    ) -> None:
        """Make an invitation for one account. Raises CtlError if the realm can't go on."""

        def make() -> tuple[str, str]:
            reply = self._ask("admin.invite.new", {"uses": 1, "note": person.name})
            if reply["status"] != "OK":
                self.refuse(where, reply)
                raise _NotInvited
            return str(reply["code"]), str(reply.get("link", ""))

        with suppress(_NotInvited):
            invitations.values_for(person.name, make)
            self._count("invited")

    def _add(self, where: Mapping[str, Any], person: NewPerson, replace_weak: bool) -> None:
        """Create an account. Raises CtlError if the realm can't go on."""
        reply = self._ask("admin.user.add", self._account(person))
        if replace_weak and reply.get("code") == WeakPassword.code:
            person = msgspec.structs.replace(person, password="")
            reply = self._ask("admin.user.add", self._account(person))
        if reply["status"] == "OK":
            self._count("created")
        else:
            self.refuse(where, reply)

    def _account(self, person: NewPerson) -> dict[str, Any]:
        """The arguments of the command that creates an account."""
        password = person.password or self._passwords.password_for(person.name)
        given = {"user": person.name, "password": password}
        chosen = {"name": person.display_name, "country": person.country}
        return given | {key: value for key, value in chosen.items() if value}

    def add_groups(self, groups: Iterable[OldGroup]) -> None:
        """Create the groups that are not there, each with its first member as admin, and add the members.
        Raises CtlError if the realm can't go on."""
        self._count("groups", 0)
        self._count("members", 0)
        for group in groups:
            where = {"name": group.name}
            named = {"group": group.name, **({"title": group.title} if group.title else {})}
            for admin in group.members:
                reply = self._ask("admin.group.add", {**named, "user": admin})
                if reply.get("code") != UnknownUser.code:
                    break
            else:
                self.refuse(where, {"message": "None of its members has an account"})
                continue
            if reply["status"] == "OK":
                self._count("groups")
            elif reply.get("code") != GroupExists.code:
                self.refuse(where, reply)
                continue
            self._add_members(group)

    def _add_members(self, group: OldGroup) -> None:
        for name in group.members:
            given = {"group": group.name, "user": name}
            reply = self._ask("admin.group.join", given)
            if reply["status"] == "OK":
                self._count("members")
            elif reply.get("code") != AlreadyMember.code:
                self.refuse({"name": f"{name} in {group.name}"}, reply)

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
        files = {"passwords": self._passwords, "invitations": self._invitations}
        saved = {key: str(each.path) for key, each in files.items() if each and each.used}
        done = ", ".join(f"{count} {what}" for what, count in self._counts.items())
        return {
            "status": "OK",
            "message": f"{done}, {refused} refused",
            **self._counts,
            "refused": refused,
            **saved,
            "refusals": self._refused,
        }
