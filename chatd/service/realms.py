"""What the service needs of the way to other realms; chatd.federation.amp provides it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import Interface, implementer

from chatd.base import errors
from chatd.base.errors import ChatError, PeerFailed, UnknownRealm
from chatd.base.model import Added, Member, RealmInfo
from chatd.base.names import printable
from chatd.federation.parcels import INCOMPLETE, Verdict

# What a peer may answer, and the details that may come with it: nothing else of what it says is shown.
_REFUSALS: dict[str, tuple[type[ChatError], tuple[str, ...]]] = {
    error.code: (error, details)
    for error, details in (
        (errors.UnknownUser, ("name",)),
        (errors.UnknownGroup, ("name",)),
        (errors.GroupClosed, ("group",)),
        (errors.NotMember, ("group",)),
        (errors.NotTheirGroup, ("name", "group")),
        (errors.NotAdmin, ("group",)),
        (errors.AlreadyMember, ("name", "group")),
        (errors.Banned, ("group",)),
        (errors.NotBanned, ("name", "group")),
        (errors.GroupFull, ("group", "limit")),
        (errors.RealmFull, ("group", "limit", "realm")),
        (errors.TooManyGroups, ("name", "limit")),
        (errors.MessageTooLong, ("size", "limit")),
        (errors.BadFileName, ("name",)),
        (errors.FileTooLarge, ("size", "limit")),
        (errors.QuotaExceeded, ("limit", "left")),
        (errors.TooManyUnknown, ("limit",)),
        (errors.RealmQuota, ("limit", "minutes")),
    )
}


class Membership(msgspec.Struct, frozen=True):
    """What a realm says of one of its groups to someone who joins it."""

    group: str
    group_id: int


class IRealms(Interface):
    """The way to other realms. Realms are named by their keys; what waits for one outlives the daemon.

    What has to be asked at once (all that gives a Deferred) errs with UnknownRealm, RealmDown, or with what
    the other realm refused it for.
    """

    def name_of(realm: str) -> str:
        """How the realm writes its name. Raises UnknownRealm."""

    def dispatch(
        realm: str,
        number: int,
        parcel: bytes,
        file: int | None,
        then: Callable[[Verdict | None], Any],
    ) -> None:
        """A parcel is in the outbox: `then` is told what became of it, or None if that takes too long."""

    def post(realm: str, number: int, parcel: bytes, file: int | None) -> None:
        """As `dispatch`, where nobody waits for what becomes of it."""

    def join(realm: str, user: str, group: str) -> Deferred[Membership]:
        """Make `user`, of this realm, a member of a group there, by its name or code."""

    def members(realm: str, user: str, group: str) -> Deferred[Sequence[Member]]:
        """The members of a group there that `user` is in, as that realm names them."""

    def change(
        realm: str, user: str, group: str, change: str, users: Sequence[str]
    ) -> Deferred[dict[str, Any]]:
        """Do what the admin `user` of a group there wants: `change` is a verb."""

    def presence(realm: str, users: Collection[str]) -> Deferred[dict[str, bool]]:
        """Who of `users` there is online; who is not in it does not exist."""

    def is_added(realm: str) -> bool:
        """Whether somebody here has added the realm; otherwise it has linked by itself."""

    def source_of(realm: str) -> str:
        """The network source (`chatd.base.sources`) of the realm's link if it has dialled, else an empty
        string."""

    def add(realm: str, host: str, port: int, by_operator: bool) -> Deferred[Added]:
        """Make a realm a peer. Fails with the reason; for anybody but an operator only that it was not
        reached."""

    def forget(realm: str) -> Deferred[int]:
        """Forget a peer; how many parcels still wait for it. Errs with UnknownRealm."""

    def all(detailed: bool = True) -> Deferred[Sequence[RealmInfo]]:
        """The peers and their links. Only `detailed` says why a realm that no operator has added is not
        reached."""


@implementer(IRealms)
class NoRealms:
    """For a realm that is alone."""

    def name_of(self, realm: str) -> str:
        raise UnknownRealm(realm=realm)

    def dispatch(
        self,
        _realm: str,
        _number: int,
        _parcel: bytes,
        _file: int | None,
        then: Callable[[Verdict | None], Any],
    ) -> None:
        then(None)

    def post(self, realm: str, _number: int, _parcel: bytes, _file: int | None) -> None:
        """Nothing is sent."""

    def join(self, realm: str, *_args: object) -> Deferred[Any]:
        return fail(UnknownRealm(realm=realm))

    members = change = presence = add = forget = join

    def is_added(self, _realm: str) -> bool:
        return False

    def source_of(self, _realm: str) -> str:
        return ""

    def all(self, _detailed: bool = True) -> Deferred[Sequence[RealmInfo]]:
        return succeed(())


async def online_elsewhere(
    realms: IRealms, users: Mapping[str, Collection[str]]
) -> dict[str, dict[str, bool]]:
    """Who of `users` (names by their realm's key) is online, by realm; nobody whose realm does not say it."""
    # All are asked at once, and each answers, or not, in its own time.
    asked = {realm: realms.presence(realm, names) for realm, names in users.items()}
    online: dict[str, dict[str, bool]] = {}
    for realm, answer in asked.items():
        try:
            online[realm] = await answer
        except ChatError:
            online[realm] = {}
    return online


def refusal(verdict: Verdict, realm: str) -> ChatError:
    """The error that a verdict says, in this realm's own words. `realm` is the one that said it."""
    error, names = _REFUSALS.get(verdict.code, (None, ()))
    said = [verdict.details.get(name) for name in names]
    if error is None or not all(type(detail) in (str, int) for detail in said):
        return PeerFailed(realm=realm)
    # It is shown to people, whatever a detail of that name should be.
    details: dict[str, object] = {
        name: detail if type(detail) is int else printable(str(detail))
        for name, detail in zip(names, said, strict=True)
    }
    if "where" in error.defaults:
        details["where"] = realm
    return error(**details)


def verdict_of(error: Exception) -> Verdict:
    """What is told to another realm of an error that something of it met here."""
    if not isinstance(error, ChatError):
        return INCOMPLETE
    _, names = _REFUSALS.get(error.code, (None, ()))
    return Verdict(
        error.code, {name: error.details[name] for name in names if name in error.details}
    )
