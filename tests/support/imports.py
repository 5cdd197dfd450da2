"""Accounts of a realm that import archives."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred

from chatd.base.model import Account, Message
from chatd.base.names import Address, parse_imported, parse_place
from chatd.service.import_files import ImportFiles
from chatd.store.imports import RUNNING, AccountImport
from chatd.store.windows import Window
from tests.support.common import RealmTestCase, sleep


class ImportsTestCase(RealmTestCase):
    async def register(self, name: str) -> Account:
        return (await self.realm.service.accounts.register(name, "surabaya", None, None)).account

    async def send(self, who: Account, to: str, text: str) -> int:
        sent = await self.realm.service.messages.send(who, [Address(to)], text, None)
        return sent.receipts[0].conversation

    async def take(self, account: Account, data: bytes) -> AccountImport:
        """Import an archive. Returns how that has ended."""
        await self.start(account, data)
        return await self.ended(account)

    async def start(self, account: Account, data: bytes) -> None:
        """Begin to import an archive."""
        upload = self.realm.service.imports.begin(account, len(data))
        upload.write(data)
        await upload.finish()

    async def ended(self, account: Account) -> AccountImport:
        imports = self.realm.service.imports
        # Another thread reads the state, maybe before this one knows that it was stored.
        while (
            found := await imports.state(account)
        ).state == RUNNING or account.id in imports._running:
            if imports._interrupted:
                break
            await sleep(0.001)
        return found

    async def held(self, account: Account, data: bytes) -> Deferred[None]:
        """Start an import, which waits before the first file until the Deferred fires."""
        going_on: Deferred[None] = Deferred()
        reached: Deferred[None] = Deferred()
        take = ImportFiles.take

        async def wait(*args: Any) -> Any:
            reached.callback(None)
            await going_on
            return await take(*args)

        with mock.patch.object(ImportFiles, "take", wait):
            await self.start(account, data)
            await reached
        return going_on

    async def ended_later(self, account: Account) -> AccountImport:
        """Continue with the import that was interrupted. Returns how it has ended."""
        imports = self.realm.service.imports
        imports._timer.cancel()
        imports._continue()
        while imports._interrupted or not imports._running:
            await sleep(0.001)
        return await self.ended(account)

    async def history(self, account: Account, place: str, **window: Any) -> list[Message]:
        found = parse_imported(place) or parse_place(place)
        page = await self.realm.service.reading.history(account, found, 500, Window(**window))
        return page.messages

    async def texts(self, account: Account, place: str) -> list[str | None]:
        return [each.text for each in await self.history(account, place)]
