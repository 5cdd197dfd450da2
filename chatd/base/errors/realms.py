"""Other realms: adding them, and reaching people there."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base.errors.accounts import UnknownUser
from chatd.base.errors.base import ChatError


class UnknownRealm(ChatError):
    code = "unknown-realm"
    sentence = "This realm has no peer called {realm}; realms lists those that it has"


class RealmExists(ChatError):
    code = "realm-exists"
    sentence = "{realm} is a peer already; realms shows how it is, and delrealm {realm} forgets it"


class OwnRealm(ChatError):
    code = "own-realm"
    sentence = "{realm} is this realm itself; add another"


class ForbiddenAddress(ChatError):
    code = "forbidden-address"
    sentence = "{address} can't be a realm's: {reason}"
    defaults = {"reason": "link-local and multicast addresses are not connected to"}


class RealmUnreachable(ChatError):
    code = "realm-unreachable"
    sentence = "{realm} was not reached at {address}: {reason}"


class WrongRealm(ChatError):
    code = "wrong-realm"
    sentence = "The realm at {address} is {found}, not {realm}; add it by the name that it has"


class CertificateChanged(ChatError):
    code = "certificate-changed"
    sentence = (
        "{realm} showed another certificate ({found}) than the one that is remembered ({remembered}): "
        "someone may be posing as it. If its operator confirms the new one, correct the fingerprint where "
        "the configuration has one, else delrealm {realm} and add it again"
    )


class BadCertificate(ChatError):
    code = "bad-certificate"
    sentence = "The certificate of {realm} does not hold: {reason}; its operator has to renew it"


class RealmNotAllowed(ChatError):
    code = "realm-not-allowed"
    sentence = "{realm} may not connect to {where}: {reason}"


# Why a realm can't become a peer.
UNREACHABLE: tuple[type[ChatError], ...] = (
    ForbiddenAddress,
    RealmUnreachable,
    WrongRealm,
    CertificateChanged,
    BadCertificate,
    RealmNotAllowed,
)


class TooManyUnknown(ChatError):
    code = "too-many-unknown"
    sentence = (
        "{where} has said {limit} times in the last hour that a name does not exist there, and says nothing "
        "of names that are new to it; try again in an hour, or ask its operator to add this realm"
    )
    defaults = {"where": "This realm"}


class RealmDown(ChatError):
    code = "realm-down"
    sentence = "{realm} can't be asked just now; try again when realms shows it up"


class Expired(ChatError):
    code = "expired"
    sentence = "{realm} was not reached in all that time"


class PeerFailed(ChatError):
    code = "peer-failed"
    sentence = "{realm} could not take it, and does not say why; tell its operator"


def none_known(errors: Mapping[str, ChatError]) -> ChatError:
    """One error for several addresses, by the error of each. None of them could be reached."""
    if len(errors) == 1:
        return next(iter(errors.values()))
    for error in errors.values():
        if not isinstance(error, UnknownUser | UnknownRealm):
            return error
    if all(isinstance(error, UnknownRealm) for error in errors.values()):
        realms = dict.fromkeys(str(error.details["realm"]) for error in errors.values())
        return UnknownRealm(realm=", ".join(realms))
    return UnknownUser(name=", ".join(errors))
