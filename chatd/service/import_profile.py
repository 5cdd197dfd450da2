"""What an import takes from the profile in an archive. Only what the account has not chosen itself is set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import get_args

from sqlalchemy import Connection

from chatd.base.account_archive import ArchivedGroup, ArchivedProfile
from chatd.base.characters import find_hidden
from chatd.base.errors import (
    BadArgument,
    BadName,
    BadText,
    Busy,
    EmptyText,
    TooManyBlocks,
    UnknownUser,
)
from chatd.base.model import Account, Privacy, PrivacyKey
from chatd.base.names import Address, key_of, parse_foreign_name
from chatd.base.texts import MAX_DISPLAY_NAME, check_text
from chatd.media.process import PictureRefused
from chatd.service.accounts import Accounts
from chatd.service.avatars import Avatars
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.import_reading import ImportReader
from chatd.service.presence_news import PresenceNews
from chatd.service.privacy_settings import PrivacySettings
from chatd.store import accounts as store
from chatd.store.avatars import new_avatar
from chatd.store.blocks import REALM_MARK

PAGE = 20  # contacts that are added in one transaction


class ProfileImport:
    """Sets profiles, contacts, blocks and choices."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        avatars: Avatars,
        blocks: Blocks,
        privacy: PrivacySettings,
        news: PresenceNews,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._avatars = avatars
        self._blocks = blocks
        self._privacy = privacy
        self._news = news
        self._on_changed: list[Callable[[Account], object]] = []

    def on_changed(self, then: Callable[[Account], object]) -> None:
        """Call `then` with each account whose profile an import has changed."""
        self._on_changed.append(then)

    async def take(self, account: Account, profile: ArchivedProfile, reading: ImportReader) -> int:
        """Take over a profile. Returns the number of contacts that were added. Raises StorageFailed."""
        await self._show(account, profile)
        await self._choose(account, profile)
        added = await self._add_contacts(account, self._addresses(reading, profile.contacts))
        with suppress(TooManyBlocks):
            for blocked in self._blocked(reading, profile.blocked):
                with suppress(BadArgument, UnknownUser):
                    await self._blocks.block(account, blocked)
        return added

    async def _show(self, account: Account, profile: ArchivedProfile) -> None:
        """Set the name, the country, the status and the picture of an account that has none of its own."""
        account = self._accounts.current(account)
        name = _shown(profile.name) if account.display_name == account.name else None
        country = _shown(profile.country) if not account.country else None
        changed = account
        if name or country:
            changed = await self._accounts.change_profile(account, name or None, country or None)
        if not account.status and (status := _shown(profile.status)):
            changed = await self._accounts.set_status(account, status)
        if changed is not account:
            self._news.profile_changed(changed, None)
        if account.picture is None and profile.picture is not None:
            with suppress(PictureRefused, Busy):
                body = await self._avatars.remade(account.id, profile.picture)
                await self._avatars.keep_own(account, None, new_avatar(body))
        for then in self._on_changed:
            then(self._accounts.current(account))

    async def _choose(self, account: Account, profile: ArchivedProfile) -> None:
        """Switch off what the archive has switched off."""
        now = await self._privacy.of(account)
        if now != Privacy():
            return
        keys: tuple[PrivacyKey, ...] = get_args(PrivacyKey)
        for key in keys:
            if profile.privacy.get(key) is False:
                await self._privacy.choose(account, key, False)

    def _addresses(self, reading: ImportReader, written: Iterable[str]) -> list[Address]:
        found = (reading.address(each) for each in written)
        return [each for each in found if each is not None]

    async def _add_contacts(self, account: Account, addresses: Sequence[Address]) -> int:
        """Add contacts without asking their realms about them."""
        limit = self._context.config.limits.account_contacts

        def job(connection: Connection, page: Sequence[Address]) -> int:
            known = {key_of(each) for each in store.contacts_of(connection, account.id)}
            added = 0
            for address in page:
                if address.key in known or address.key == account.key:
                    continue
                if address.realm is None and store.find_account(connection, address.key) is None:
                    continue
                if len(known) >= limit:
                    break
                store.add_contact(connection, account.id, address, limit)
                known.add(address.key)
                added += 1
            return added

        added = 0
        for start in range(0, len(addresses), PAGE):
            added += await self._database.run(job, addresses[start : start + PAGE])
        return added

    def _blocked(self, reading: ImportReader, written: Iterable[str]) -> Iterable[Address | str]:
        """The people and realms in a list of blocks."""
        for each in written:
            if each.startswith(2 * REALM_MARK):
                with suppress(BadName):
                    yield parse_foreign_name(each[2:])
            elif (address := reading.address(each)) is not None:
                yield address


def _shown(text: str) -> str:
    """A name, a country or a status of an archive; empty if it can't be one here."""
    text = text.strip()[:MAX_DISPLAY_NAME]
    try:
        check_text(text)
    except (BadText, EmptyText):
        return ""
    return "" if find_hidden(text) is not None else text


def groups_in(reading: ImportReader, profile: ArchivedProfile) -> tuple[ArchivedGroup, ...]:
    """The groups of an archive, with their addresses as they are written here."""
    found = []
    for group in profile.groups:
        address = reading.address(group.group)
        if address is not None:
            found.append(
                ArchivedGroup(
                    str(address),
                    None if group.title is None else _shown(group.title) or None,
                    group.code,
                    group.visibility,
                    group.admin,
                )
            )
    return tuple(found)
