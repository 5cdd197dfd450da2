"""How many bytes the files of each account may have together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chatd.base.model import Account


class FileQuotas:
    """The quotas that operators have given to single accounts, in memory. All others have `default()`."""

    def __init__(self, default: Callable[[], int]) -> None:
        self.default = default
        self._own: dict[int, int] = {}  # by account id

    def load(self, stored: Iterable[tuple[int, int]]) -> None:
        """Take over what is stored: account ids, and bytes."""
        self._own = dict(stored)

    def of(self, account: Account) -> int:
        """The bytes that the files of an account may have."""
        return self._own.get(account.id, self.default())

    def has_own(self, account: Account) -> bool:
        """Whether operators have given the account a quota of its own."""
        return account.id in self._own

    def keep(self, account: Account, size: int | None) -> None:
        """Note that an account has a quota of `size` bytes now; None: the default."""
        if size is None:
            self._own.pop(account.id, None)
        else:
            self._own[account.id] = size

    def forget(self, account: Account) -> None:
        """Forget an account that was deleted."""
        self.keep(account, None)
