"""What operators see of the invitations to the realm."""

from __future__ import annotations

from chatd.base.records import AdminRecord, Time


class RealmInvitationInfo(AdminRecord, frozen=True):
    """An invitation to the realm, made by `by`, for `uses` accounts, of which there are `used`. `state` is
    open, spent, expired or revoked."""

    invitation: int
    state: str
    uses: int
    used: int
    at: Time
    expires: Time
    by: str
    note: str = ""
