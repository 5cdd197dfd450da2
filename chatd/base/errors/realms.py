"""Errors about other realms: adding and reaching them."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base.errors.accounts import UnknownUser
from chatd.base.errors.base import ChatError


class UnknownRealm(ChatError):
    code = "unknown-realm"
    sentence = "This realm has no peer called {realm}; realms lists its peers"


class RealmNotFound(UnknownRealm):
    code = "realm-not-found"
    sentence = (
        "{realm} was not found: {reason}; check its spelling, or ask an operator of this realm to add "
        "it"
    )


class LookupDenied(ChatError):
    code = "lookup-denied"
    sentence = "{realm} may not be looked up from here; ask an operator of this realm to add it"


class TooManyLookups(ChatError):
    code = "too-many-lookups"
    sentence = (
        "{limit} unknown realms were looked up for you in the last hour; try again in {minutes} min, or ask "
        "an operator to add {realm}"
    )


class RealmExists(ChatError):
    code = "realm-exists"
    sentence = "{realm} is already a peer; realms shows its state, and delrealm {realm} removes it"


class OwnRealm(ChatError):
    code = "own-realm"
    sentence = "{realm} is this realm itself; add a different one"


class ForbiddenAddress(ChatError):
    code = "forbidden-address"
    sentence = "{address} can't be the address of a realm: {reason}"
    defaults = {"reason": "link-local and multicast addresses are not allowed"}


class RealmUnreachable(ChatError):
    code = "realm-unreachable"
    sentence = "{realm} was not reached at {address}: {reason}"


class WrongRealm(ChatError):
    code = "wrong-realm"
    sentence = "The realm at {address} is {found}, not {realm}; add it under its own name"


class CertificateChanged(ChatError):
    code = "certificate-changed"
    sentence = (
        "{realm} presented a certificate ({found}) other than the remembered one ({remembered}): "
        "someone may be impersonating it. If its operator confirms the new one, correct the "
        "fingerprint in the configuration if it is there, or else delrealm {realm} and add it again"
    )


class BadCertificate(ChatError):
    code = "bad-certificate"
    sentence = "The certificate of {realm} is not valid: {reason}; its operator has to renew it"


class RealmNotAllowed(ChatError):
    code = "realm-not-allowed"
    sentence = "{realm} may not connect to {where}: {reason}"


class OtherVersion(ChatError):
    code = "other-version"
    sentence = (
        "{realm} speaks version {theirs} of the protocol between realms, and this realm version {ours}; the "
        "operator of the older one has to update it"
    )


# The reasons why a realm can't become a peer.
UNREACHABLE: tuple[type[ChatError], ...] = (
    ForbiddenAddress,
    RealmUnreachable,
    WrongRealm,
    CertificateChanged,
    BadCertificate,
    RealmNotAllowed,
    OtherVersion,
)


class TooManyUnknown(ChatError):
    code = "too-many-unknown"
    sentence = (
        "{where} has reported {limit} unknown names in the last hour and looks up no new names for "
        "now; try again in an hour, or ask its operator to add this realm"
    )
    defaults = {"where": "This realm"}


class RealmDown(ChatError):
    code = "realm-down"
    sentence = "{realm} can't be reached at the moment; try again when realms shows it as up"


class Expired(ChatError):
    code = "expired"
    sentence = "{realm} could not be reached in time"


class PeerFailed(ChatError):
    code = "peer-failed"
    sentence = "{realm} could not accept this and gave no reason; tell its operator"


class NotSupportedThere(ChatError):
    code = "not-supported-there"
    sentence = "{realm} does not support {what}; its operator may be able to update it"


class UnknownThere(ChatError):
    code = "unknown-there"
    sentence = "{realm} does not have this message, so nothing was changed there"


class TextRefused(ChatError):
    code = "text-refused"
    sentence = (
        "{realm} does not accept this text; if it has several lines, send them one by one, because a realm "
        "of an earlier version takes one line"
    )


class BadSignature(ChatError):
    code = "bad-signature"
    sentence = "{where} does not accept this, because {reason}; tell the operators of both realms"
    defaults = {"where": "This realm"}


def none_known(errors: Mapping[str, ChatError]) -> ChatError:
    """Combine the errors of several addresses, none of which could be reached, into one."""
    if len(errors) == 1:
        return next(iter(errors.values()))
    for error in errors.values():
        if not isinstance(error, UnknownUser | UnknownRealm):
            return error
    if all(isinstance(error, UnknownRealm) for error in errors.values()):
        realms = dict.fromkeys(str(error.details["realm"]) for error in errors.values())
        return UnknownRealm(realm=", ".join(realms))
    return UnknownUser(name=", ".join(errors))
