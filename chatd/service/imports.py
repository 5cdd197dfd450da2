"""Imports: an account reads the archive that another realm has made of its earlier account there.

The archive is a file in the uploads folder until the import has ended. It is read in small pieces in a
thread, and each piece is one transaction, which also notes how far the import has come. So an import that is
interrupted continues there after a restart, and imports nothing twice. It tells nothing to anybody but the
account itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from chatd.base import errors
from chatd.base.attachments import StoredFile
from chatd.base.background import in_background
from chatd.base.errors import ChatError
from chatd.base.events import ImportChange
from chatd.base.model import Account
from chatd.base.throttle import Quota
from chatd.base.timers import Timer
from chatd.files.disk_space import DiskSpace
from chatd.files.incoming import Incoming
from chatd.files.store import IFileStore
from chatd.service.arriving import ArrivingFile
from chatd.service.codes import new_code
from chatd.service.context import Context
from chatd.service.erased_files import ErasedFiles
from chatd.service.import_files import ImportFiles
from chatd.service.import_profile import ProfileImport
from chatd.service.import_run import ImportRun, ImportStopped, ImportTools
from chatd.service.node_counts import NodeCounts
from chatd.service.node_limits import share_quota
from chatd.service.node_work import WorkKind
from chatd.service.presence import Presence
from chatd.service.quotas import MessageQuotas
from chatd.service.remote import ISignedEntries
from chatd.store import imports as store
from chatd.store.accounts import account_of
from chatd.store.imported_messages import ImportJobs
from chatd.store.imports import AccountImport

KIND = "imports"
PER_HOUR = 5  # imports of an account
MAX_RUNNING = 20  # imports of all accounts, with those that arrive
TELL_EVERY = 1.0  # seconds between events about one import
RETRY = 60.0  # seconds after which imports continue that the disk or the database has stopped
NAME = (
    "archive-{code}.zip"  # an archive has the name of no earlier one, which is that of its import
)
FORGET_PAGE = 50  # messages that are removed in one transaction

log = Logger()


class Imports:
    """The imports of all accounts. Set `signed` before the first one."""

    signed: ISignedEntries

    def __init__(
        self,
        context: Context,
        uploads: IFileStore,
        disk: DiskSpace,
        presence: Presence,
        quotas: MessageQuotas,
        profile: ProfileImport,
    ) -> None:
        self._context = context
        self._database = context.database
        self._uploads = uploads
        self._disk = disk
        self._presence = presence
        self._erased = ErasedFiles(context, uploads)
        self._tools = ImportTools(
            context,
            uploads,
            quotas,
            profile,
            ImportFiles(context, uploads, disk),
            ImportJobs(context.writers.messages, context.realm_key),
            DeferredLock(),
            lambda: self.signed,
            self._tell_sometimes,
        )
        self._quota = Quota(PER_HOUR)
        share_quota(self._quota, context.news, context.clock, "imports")
        self._counts = NodeCounts(context.news, context.clock, "arriving-archives")
        self._running: dict[int, ImportRun] = {}
        # Accounts whose run has to end before the next one begins, which another node may have stored
        self._again: set[int] = set()
        self._told: dict[int, float] = {}  # when the account was told of its import
        self._interrupted: dict[int, None] = {}  # accounts
        self._timer = Timer(context.clock, self._continue)
        self._stopped = False
        self._work = context.work
        self._work.add(KIND, WorkKind(self._look, self._resume_of, self._suspend))

    def on_profile(self, then: Callable[[Account], object]) -> None:
        """Call `then` with each account whose profile an import has changed."""
        self._tools.profile.on_changed(then)

    def begin(self, account: Account, size: int) -> ArchiveUpload:
        """Start to receive an archive of `size` bytes. Raises ImportUnfinished, FileTooLarge, TooManyUploads,
        TooManyImports, Busy, DiskFull."""
        if account.id in self._running:
            raise errors.ImportUnfinished
        limit = self._context.file_quotas.of(account)
        if size > limit:
            raise errors.FileTooLarge(size=size, limit=limit)
        if self._counts.of(str(account.id)).files:
            raise errors.TooManyUploads(limit=1)
        if len(self._running) + len(self._counts.files) >= MAX_RUNNING:
            raise errors.Busy
        self._disk.check(size + self._disk.expected)
        if wait := self._quota.take(account.key, self._context.clock.seconds()):
            raise errors.TooManyImports(limit=PER_HOUR, minutes=math.ceil(wait / 60))
        self._disk.expect(size)
        self._counts.add(str(account.id), size)
        name = NAME.format(code=new_code(self._context.random_bytes))
        return ArchiveUpload(self, account, self._uploads.receive(name, size))

    def arrived(self, account: Account) -> None:
        """The archive is no longer arriving."""
        owner = str(account.id)
        size = self._counts.bytes[owner]  # it is the only one of the account
        self._disk.arrived(size)
        self._counts.remove(owner, size)

    async def start(self, account: Account, stored: str) -> AccountImport:
        """Import the archive with this name in the uploads folder. Raises ImportUnfinished, StorageFailed;
        then the archive is removed."""
        try:
            now = self._context.now()
            begun = await self._database.run(store.begin_import, account.id, stored, now)
        except ChatError:
            await self._uploads.remove(stored)
            raise
        self._run(account, begun)
        return begun

    async def state(self, account: Account) -> AccountImport:
        """The last import of the account, as far as it has come. Raises NoImport."""
        found = await self._database.read(store.import_of, account.id)
        if found is None:
            raise errors.NoImport
        return found

    async def cancel(self, account: Account) -> AccountImport:
        """End the running import of the account. What it has imported stays. Raises NoImport,
        StorageFailed."""
        if not await self._end(account, store.CANCELLED):
            raise errors.NoImport
        return await self.state(account)

    async def forget(self, account: Account) -> None:
        """Remove everything that a deleted account has imported. Raises StorageFailed, ShuttingDown."""
        run = self._running.get(account.id)
        if run is not None:
            run.is_stopped = True
        more = True
        while more:
            if self._stopped:
                raise errors.ShuttingDown
            erased, more = await self._database.run(
                store.forget_imports, account.id, FORGET_PAGE, self._context.now()
            )
            self._erased.remove(erased)

    async def _look(self) -> None:
        await self.resume(await self._database.read(store.running))

    def _resume_of(self, account_id: int) -> None:
        in_background("an import was not continued", self._resume(account_id))

    async def resume(self, interrupted: Iterable[AccountImport]) -> None:
        """Continue with imports that were interrupted."""
        for each in interrupted:
            await in_background("an import was not continued", self._resume(each.account_id))

    async def _resume(self, account_id: int) -> None:
        try:
            begun = await self._database.read(store.import_of, account_id)
            if begun is not None and begun.state == store.RUNNING:
                account = await self._database.read(account_of, begun.account_id)
                self._run(account, begun)
        except errors.StorageFailed:
            self._try_later(account_id)

    def stop(self) -> None:
        """Leave the rest to the next start."""
        self._stopped = True
        self._timer.cancel()
        self._counts.stop()
        self._suspend()

    def _suspend(self) -> None:
        """Leave the rest to another node."""
        for run in self._running.values():
            run.is_stopped = True

    def _continue(self) -> None:
        interrupted, self._interrupted = self._interrupted, {}
        for account_id in interrupted:
            self._resume_of(account_id)

    def _run(self, account: Account, begun: AccountImport) -> None:
        if self._stopped or not self._work.claim(KIND, account.id):
            return
        if account.id in self._running:
            self._again.add(account.id)
            return
        run = self._running[account.id] = ImportRun(self._tools, account, begun)
        in_background("an import has stopped; the next start continues it", self._finish(run))

    async def _finish(self, run: ImportRun) -> None:
        """Run an import to its end."""
        try:
            refused = await self._outcome(run)
            state = store.DONE if refused is None else store.FAILED
            await self._end(run.account, state, refused, run)
        except ImportStopped:
            return
        except (errors.StorageFailed, errors.ShuttingDown):
            self._try_later(run.account.id)
        finally:
            self._forget_run(run)
            if run.account.id in self._again:
                self._again.remove(run.account.id)
                self._resume_of(run.account.id)

    async def _outcome(self, run: ImportRun) -> ChatError | None:
        """Run an import. Returns why it has failed, or None. Raises ImportStopped, StorageFailed."""
        try:
            await run.run()
        except errors.DiskFull as error:
            return error
        except (errors.StorageFailed, errors.ShuttingDown):
            raise
        except ChatError as error:
            return error
        except OSError as error:
            log.error("an archive could not be read: {error}", error=str(error))
            return errors.BadArchive(reason="it can't be read from the disk of this realm")
        return None

    def _forget_run(self, run: ImportRun) -> None:
        """A run has ended. Another one of the account may have begun already."""
        if self._running.get(run.account.id) is run:
            del self._running[run.account.id]
            self._told.pop(run.account.id, None)

    def _try_later(self, account_id: int) -> None:
        """The database stores nothing now."""
        if not self._stopped:
            self._interrupted[account_id] = None
            self._timer.start(RETRY)

    async def _end(
        self,
        account: Account,
        state: str,
        refused: ChatError | None = None,
        ended: ImportRun | None = None,
    ) -> bool:
        """Note how an import has ended, remove its archive, and tell the account. With `ended`, only if it is
        still that run. Returns whether it was running."""
        archive = None if ended is None else ended.begun.stored
        stored = await self._database.run(store.end_import, account.id, state, refused, archive)
        if stored is None:
            return False
        if (run := self._running.get(account.id)) is not None:
            run.is_stopped = True
            self._forget_run(run)
        self._erased.remove((stored,))
        self._tell(account, await self.state(account))
        return True

    def _tell_sometimes(self, run: ImportRun) -> None:
        """Tell an account how far its import has come, unless it was just told."""
        now = self._context.clock.seconds()
        account = run.account
        if run.is_stopped or now - self._told.get(account.id, -TELL_EVERY) < TELL_EVERY:
            return
        self._told[account.id] = now
        done = run.progress
        event = ImportChange(store.RUNNING, done.messages, done.conversations, done.of)
        self._presence.tell_followers((account.id,), event, None)
        self._presence.flush()

    def _tell(self, account: Account, found: AccountImport) -> None:
        self._presence.tell_followers((account.id,), change_of(found), None)
        self._presence.flush()


def change_of(found: AccountImport) -> ImportChange:
    """How far an import has come, as the account is told."""
    done, why = found.progress, found.refused
    return ImportChange(
        found.state,
        done.messages,
        done.conversations,
        done.of,
        None if why is None else why.code,
        None if why is None else why.sentence,
    )


class ArchiveUpload(ArrivingFile):
    """An archive to import. `write` all of its bytes, then `finish`. To break off, `abort`."""

    def __init__(self, imports: Imports, account: Account, incoming: Incoming) -> None:
        super().__init__(incoming)
        self._imports = imports
        self._account = account

    async def finish(self) -> tuple[AccountImport, StoredFile]:
        """Begin to import it. Returns the import, and the archive. Raises ImportUnfinished, StorageFailed."""
        try:
            arrived = await self._incoming.finish()
            return await self._imports.start(self._account, arrived.stored), arrived
        except OSError as error:
            log.error("an archive could not be stored: {error}", error=str(error))
            raise errors.StorageFailed from None
        finally:
            self._end()

    def _release(self) -> None:
        self._imports.arrived(self._account)
