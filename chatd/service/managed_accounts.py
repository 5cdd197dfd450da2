"""Accounts as operators manage them, whatever the accounts' owners have chosen."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.base.records import AccountInfo, AccountSession
from chatd.base.roles import Role
from chatd.service.accounts import Accounts
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.node_caches import NodeTable
from chatd.service.operators import Operators
from chatd.service.passwords import LOGIN, Passwords
from chatd.service.presence import Presence
from chatd.store import managed_accounts as store
from chatd.store.accounts import sessions_of
from chatd.store.file_quotas import all_quotas, set_quota
from chatd.store.managed_accounts import AccountFacts, AccountFilter


class ManagedAccounts:
    """The realm's accounts, for its operators. The caller tells the clients whose sessions have ended."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        operators: Operators,
        passwords: Passwords,
        presence: Presence,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._operators = operators
        self._passwords = passwords
        self._presence = presence
        self._quotas: NodeTable[int, list[tuple[int, int]]] = NodeTable(
            context,
            "file quotas",
            int,
            lambda connection, _accounts: all_quotas(connection),
            lambda _accounts, found: context.file_quotas.load(found),
        )

    async def list(self, wanted: AccountFilter, limit: int) -> tuple[tuple[AccountInfo, ...], int]:
        """The first `limit` accounts by name, and how many more there are."""
        found, more = await self._database.read(store.list_accounts, wanted, limit)
        is_online = self._presence.is_online
        return tuple(
            msgspec.structs.replace(info, online=is_online(number)) for number, info in found
        ), more

    async def facts(self, account: Account) -> AccountFacts:
        """What is stored of an account. Raises UnknownUser."""
        return await self._database.read(store.facts_of, account, self._context.now())

    async def add(
        self,
        act: Act,
        name: str,
        password: str,
        role: Role,
        display_name: str | None,
        country: str | None,
    ) -> Account:
        """Create an account, also while registration is closed. Raises BadName, ReservedName, WeakPassword,
        UserExists, Busy."""
        self._accounts.check_name(name)
        hashed = await self._hash(act, password)
        return await self._operators.change(
            act.run,
            store.add_with_role,
            name,
            hashed,
            display_name or name,
            country or "",
            self._context.now(),
            role,
        )

    async def set_password(self, act: Act, account: Account, password: str) -> None:
        """Give an account another password, and end its sessions. Raises UnknownUser, WeakPassword, Busy."""
        hashed = await self._hash(act, password)
        await act.run(store.replace_password, account, hashed)
        self._accounts.sessions_ended()

    async def _hash(self, act: Act, password: str) -> str:
        self._accounts.check_password(password)
        return await self._passwords.hash(password, ("", key_of(act.actor.name)), LOGIN)

    async def set_role(self, act: Act, account: Account, role: Role) -> Account:
        """Give an account a role. Returns the changed account. Raises UnknownUser."""
        return await self._operators.change(act.run, store.change_role, account, role)

    async def rename(self, act: Act, account: Account, name: str) -> Account:
        """Give an account another display name. Returns the changed account. Raises UnknownUser."""
        return await self._accounts.change(act.run, store.rename, account, name)

    async def set_quota(self, act: Act, account: Account, size: int | None) -> None:
        """Let the files of an account have `size` bytes; None: as many as configured. Raises UnknownUser."""
        await act.run(set_quota, account, size)
        self._context.file_quotas.keep(account, size)
        self._quotas.tell(account.id)

    async def disable(self, act: Act, account: Account, reason: str | None) -> None:
        """End the sessions of an account, and refuse its logins. Raises UnknownUser."""
        await act.run(store.disable, account, reason, self._context.now())
        self._accounts.sessions_ended()

    async def enable(self, act: Act, account: Account) -> None:
        """Accept the logins of an account again."""
        await act.run(store.enable, account)

    async def sessions(
        self, account: Account, in_use: Collection[bytes]
    ) -> tuple[AccountSession, ...]:
        """The sessions of an account, the one used last first. `in_use` has the hashes of the tokens that
        connections use."""
        # In the order of the jobs, so that the device of a login just before is in the list.
        found = await self._database.run(sessions_of, account.id, self._context.now())
        return tuple(
            AccountSession(
                info.session,
                info.created,
                info.used,
                info.client,
                info.address,
                token_hash in in_use,
            )
            for token_hash, info in found
        )

    async def end_sessions(self, act: Act, account: Account) -> None:
        """End the sessions of an account. Raises UnknownUser."""
        await act.run(store.end_all_sessions, account)
        self._accounts.sessions_ended()

    async def end_session(self, act: Act, account: Account, session: int) -> bytes:
        """End one session of an account. Returns the hash of its token. Raises SessionNotFound."""
        token_hash = await act.run(store.end_one_session, account, session, self._context.now())
        self._accounts.sessions_ended()
        return token_hash
