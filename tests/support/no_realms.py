"""The other realms of a realm that knows none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from chatd.base.errors import UnknownRealm
from chatd.base.names import Address
from chatd.base.realms import Added, RealmInfo
from chatd.base.replies import Member
from chatd.service.remote import (
    IRealms,
    Membership,
    RemotePicture,
    RemoteProfile,
    Rescued,
    TheirState,
)

T = TypeVar("T")


@implementer(IRealms)
class NoRealms:
    """There are no other realms."""

    def look_up(self, realm: str, account: int) -> Deferred[None]:
        return fail(UnknownRealm(realm=realm))

    def name_of(self, realm: str) -> str:
        raise UnknownRealm(realm=realm)

    def is_welcome(self, _realm: str) -> bool:
        return False

    def follows_moves(self, _realm: str) -> bool:
        return True

    def check_moves(self, _realm: str) -> None:
        pass

    def is_linked(self, _realm: str) -> bool:
        return False

    def is_kept(self, _realm: str) -> bool:
        return True

    def is_added(self, _realm: str) -> bool:
        return False

    def takes_moves(self, _realm: str) -> bool:
        return False

    def begin_move(self, realm: str) -> None:
        pass

    def _unknown(self, realm: str) -> Deferred[T]:
        return fail(UnknownRealm(realm=realm))

    def find(self, realm: str, _user: str, _group: str) -> Deferred[Membership]:
        return self._unknown(realm)

    def join(self, realm: str, _user: str, _group: str, _entry: bytes) -> Deferred[Membership]:
        return self._unknown(realm)

    def members(self, realm: str, _user: str, _group: str) -> Deferred[Sequence[Member]]:
        return self._unknown(realm)

    def change(
        self,
        realm: str,
        _user: str,
        _group: str,
        _change: str,
        _users: Sequence[str],
        _entries: Sequence[bytes] = (),
    ) -> Deferred[Mapping[str, Sequence[str]]]:
        return self._unknown(realm)

    def presence(self, realm: str, _users: Collection[str]) -> Deferred[dict[str, TheirState]]:
        return self._unknown(realm)

    def hears_presence(self, _realm: str) -> bool:
        return False

    def presence_changed(self, realm: str, states: Sequence[TheirState]) -> None:
        """Tell nobody."""

    def profile(self, realm: str, _user: str, _known: str) -> Deferred[RemoteProfile]:
        return self._unknown(realm)

    def group_picture(self, realm: str, _user: str, _group: str) -> Deferred[RemotePicture]:
        return self._unknown(realm)

    def profile_changed(self, realm: str, user: str) -> None:
        """Tell nobody."""

    def wake(self, realms: Iterable[str]) -> None:
        pass

    def rescue_group(self, _account: object, group: Address) -> Deferred[Rescued]:
        return fail(UnknownRealm(realm=group.realm))

    def begin_past(self, realm: str) -> None:
        """Fetch nothing."""

    def fetch_past(self, _conversation: int) -> Deferred[None]:
        return succeed(None)

    def add(self, realm: str, _host: str, _port: int, _by_operator: bool) -> Deferred[Added]:
        return self._unknown(realm)

    def forget(self, realm: str) -> Deferred[int]:
        return self._unknown(realm)

    def all(self, _detailed: bool = True) -> Deferred[Sequence[RealmInfo]]:
        return succeed(())
