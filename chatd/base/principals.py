"""Who does something that needs a role."""

from __future__ import annotations

import msgspec

from chatd.base.errors import NotModerator, NotOperator
from chatd.base.roles import OPERATOR, Role, includes


class Principal(msgspec.Struct, frozen=True):
    """An account with a role, or somebody at the control socket. `name` is for the audit log: the username,
    or `local:` and a user of the system, which no username can be. `is_local`: it is
    somebody at the control socket. `account` is the id of the account, if it is one."""

    name: str
    role: Role
    is_local: bool = False
    account: int | None = None

    def check(self, needed: Role) -> None:
        """Raises NotOperator or NotModerator if the actor's role does not include `needed`."""
        if includes(self.role, needed):
            return
        if needed == OPERATOR:
            raise NotOperator
        raise NotModerator
