"""Invitations to the realm: codes with which people create accounts where not everybody may."""

from __future__ import annotations

import msgspec

from chatd.base.errors import BadInvitation, InvitationNeeded, RegistrationClosed
from chatd.base.invitation_records import RealmInvitationInfo
from chatd.base.secret_codes import make_code, plain_code
from chatd.base.tokens import hash_token
from chatd.base.web_address import web_address
from chatd.service.audit import Act
from chatd.service.code_guesses import CodeGuesses
from chatd.service.context import Context
from chatd.store import realm_invitations as store


class MadeInvitation(msgspec.Struct, frozen=True):
    """A new invitation. `link` opens the page on which an account is created, if there is a door for
    browsers. `expires_at` is in ms since 1970 UTC."""

    number: int
    code: str
    link: str | None
    expires_at: int


class RealmInvitations:
    """Makes, lists and revokes invitations, and checks the codes of those who register."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._database = context.database
        self._guesses = CodeGuesses(context.clock, BadInvitation)
        self._guesses.share(context.news, "invitation-failures")

    async def new(self, act: Act, uses: int, lifetime: int, note: str) -> MadeInvitation:
        """Make an invitation for that many accounts, which lasts `lifetime` seconds. Its code is stored as a
        hash."""
        code, now = make_code(self._context.random_bytes), self._context.now()
        expires_at = now + lifetime * 1000
        new = store.RealmInvitation(_hash(code), act.actor.name, uses, now, expires_at, note)
        number = await act.run(store.add_invitation, new)
        site = web_address(self._context.config)
        link = None if site is None else f"{site}/#/register/{code}"
        return MadeInvitation(number, code, link, expires_at)

    async def list(
        self, limit: int, before: int | None
    ) -> tuple[tuple[RealmInvitationInfo, ...], int]:
        """The newest `limit` invitations, before that number if it is given, and how many more there
        are."""
        # In the order of the jobs, so that one that was made just before is in the list.
        now = self._context.now()
        found, more = await self._database.run(store.list_invitations, now, limit, before)
        return tuple(found), more

    async def revoke(self, act: Act, number: int) -> None:
        """End an invitation. Raises InvitationNotFound."""
        await act.run(store.revoke_invitation, number, self._context.now())

    async def admit(self, code: str | None, source: str | None) -> bytes | None:
        """Whether somebody at that address may register now. Returns the hash of the code if the account
        needs it. Raises RegistrationClosed, InvitationNeeded, BadInvitation, TooManyCodes."""
        mode = self._context.config.accounts.registration
        if mode == "open":
            return None
        if mode != "invite":
            raise RegistrationClosed
        if not code:
            raise self._needed()
        async with self._guesses.attempt(source or ""):
            code_hash = _hash(code)
            if not await self._database.read(store.is_usable, code_hash, self._context.now()):
                raise BadInvitation
        return code_hash

    def _needed(self) -> InvitationNeeded:
        site = web_address(self._context.config)
        where = self._context.config.realm if site is None else f"{site}/#/register"
        return InvitationNeeded(where=where)


def _hash(code: str) -> bytes:
    """The hash of a code. Codes are random, so a fast hash without salt is sufficient."""
    return hash_token(plain_code(code))
