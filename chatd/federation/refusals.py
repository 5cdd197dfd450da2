"""Errors on their way between realms: as a verdict on the wire, and as an error again."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.errors import ChatError, PeerFailed
from chatd.base.names import printable
from chatd.base.terms import LATEST, Term
from chatd.federation.parcels import Verdict

# The errors that a peer may report, with the details that are shown. Other errors and details are not shown.
# `@` marks the names of people and groups that get the realm of the peer, unless they have one.
_REFUSALS: dict[str, tuple[type[ChatError], tuple[str, ...]]] = {
    error.code: (error, details)
    for error, details in (
        (errors.UnknownUser, ("name",)),
        (errors.NotAccepted, ("name@",)),
        (errors.RequestPending, ("name@",)),
        (errors.UnknownGroup, ("name",)),
        (errors.GroupClosed, ("group@",)),
        (errors.GroupShut, ("group@", "reason")),
        (errors.NotMember, ("group@",)),
        (errors.NotTheirGroup, ("name@", "group@")),
        (errors.NotAdmin, ("group@",)),
        (errors.AlreadyMember, ("name@", "group@")),
        (errors.Banned, ("group@",)),
        (errors.Muted, ("group@", "until")),
        (errors.TooManyFailedJoins, ("seconds",)),
        (errors.LastAdmin, ("name@", "group@")),
        (errors.NotBanned, ("name@", "group@")),
        (errors.GroupFull, ("group@", "limit")),
        (errors.GroupMoved, ("group@", "to")),
        (errors.NotMovable, ("group@", "realm", "reason")),
        (errors.RealmFull, ("group@", "limit", "realm")),
        (errors.TooManyGroups, ("name@", "limit")),
        (errors.TooManyInvitations, ("name@", "limit")),
        (errors.NotRequested, ("name@", "group")),  # to a group of the realm that is told
        (errors.MessageTooLong, ("size", "limit")),
        (errors.BadFileName, ("name",)),
        (errors.FileTooLarge, ("size", "limit")),
        (errors.QuotaExceeded, ("limit", "left")),
        (errors.TooMuchArriving, ("limit", "left")),
        (errors.UnknownFile, ("name",)),
        (errors.FileArriving, ("name",)),
        (errors.FileLost, ("name", "reason")),
        (errors.FileMissing, ("name",)),
        (errors.FileDamaged, ("name",)),
        (errors.TooManyUnknown, ("limit",)),
        (errors.RealmQuota, ("limit", "minutes")),
        (errors.TextRefused, ("realm",)),
        (errors.BadSignature, ("reason",)),
        (errors.NotSupportedThere, ("realm", "what")),
        (errors.UnknownThere, ("realm",)),
        # A message of a group has the same number in all realms.
        (errors.NotYours, ("seq", "who")),
        (errors.NotEditable, ("seq", "has")),
        (errors.TooManyReactions, ("seq", "limit")),
        (errors.TooManyPins, ("limit",)),
    )
}


def refusal(verdict: Verdict, realm: str) -> ChatError:
    """The error that a verdict of the realm named `realm` stands for: PeerFailed if it makes no sense."""
    # The details of these would be about what this realm has checked, or about the log of the other realm.
    if verdict.code == errors.BadText.code:
        return errors.TextRefused(realm=realm)
    if verdict.code == errors.UnknownMessage.code:
        return errors.UnknownThere(realm=realm)
    error, names = _REFUSALS.get(verdict.code, (None, ()))
    values = [verdict.details.get(name.rstrip("@")) for name in names]
    if error is None or not all(type(detail) in (str, int) for detail in values):
        return PeerFailed(realm=realm)
    details: dict[str, object] = {
        name.rstrip("@"): _shown(name, detail, realm)
        for name, detail in zip(names, values, strict=True)
    }
    if "where" in error.defaults:
        details["where"] = realm
    if error is errors.Muted:
        term = _term(verdict)
        if term is None:
            return PeerFailed(realm=realm)
        details["until"] = term
    return error(**details)


def _term(verdict: Verdict) -> Term | str | None:
    """The term of a mute; None if it makes no sense. Realms of an earlier version give a text."""
    until, reason = verdict.details["until"], verdict.details.get("reason")
    if not isinstance(until, int):
        return _optional(until)
    return Term(until or None, _optional(reason)) if 0 <= until <= LATEST else None


def _optional(text: object) -> str:
    """A text that may be missing, as people read it."""
    return printable(text) if isinstance(text, str) and text else ""


def _shown(name: str, detail: object, realm: str) -> object:
    """A detail as people read it, without control characters."""
    if type(detail) is int:
        return detail
    text = printable(str(detail)) if detail != "" else ""
    return f"{text}@{realm}" if name.endswith("@") and "@" not in text else text


def verdict_of(error: ChatError) -> Verdict:
    """The verdict that tells another realm of an error."""
    if isinstance(error, errors.AccountMoved) and error.proof is not None:
        return Verdict(error.code, {"proof": error.proof})
    _, marked = _REFUSALS.get(error.code, (None, ()))
    names = [name.rstrip("@") for name in marked]
    given = {name: error.details[name] for name in names if name in error.details}
    if isinstance(term := given.get("until"), Term):
        given |= {"until": term.until or 0, "reason": term.reason}
    return Verdict(error.code, {name: _plain(detail) for name, detail in given.items()})


def _plain(detail: object) -> str | int:
    """A detail as it crosses. An address becomes a text."""
    return detail if isinstance(detail, int) else str(detail)
