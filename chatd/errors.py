"""Every refusal a user can cause: a stable code, and a sentence that says what is wrong and what to do.

Codes are part of the protocol: dialects look their own texts up by them, and programs match on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chatd.tokens import hide_tokens


class ChatError(Exception):
    """A refusal. `code` is stable; `str(error)` is the sentence, filled from the keywords given, and from
    `defaults` where one of those was not."""

    code: ClassVar[str] = "error"
    sentence: ClassVar[str] = "That can't be done"
    defaults: ClassVar[Mapping[str, object]] = {}

    def __init__(self, **details: object) -> None:
        sentence = self.sentence.format_map({**self.defaults, **details})
        # A token in the wrong place of a request is not repeated.
        super().__init__(hide_tokens(sentence))
        self.details = details


class BadRequest(ChatError):
    """What arrived is not a request: nothing was looked up and nothing changed."""


class BadEncoding(BadRequest):
    code = "bad-encoding"
    sentence = "The line is not UTF-8; send text as UTF-8"


class BadSyntax(BadRequest):
    code = "bad-syntax"
    sentence = "That line is not a request: {reason}"


class LineTooLong(BadRequest):
    code = "line-too-long"
    sentence = "The line is longer than {limit} bytes and was dropped; send a shorter one"


class LineStalled(ChatError):
    code = "line-stalled"
    sentence = (
        "The line gained less than {bytes} bytes in {seconds} s and was dropped; send it again"
    )


class InlineFull(ChatError):
    code = "inline-full"
    sentence = (
        "Lines with files take too much memory just now (yours may take {limit} bytes together), and this "
        "one was dropped; send it again later, one at a time"
    )


class UnknownCommand(BadRequest):
    code = "unknown-command"
    sentence = "There is no command {verb}; {advice}"
    defaults = {"advice": "help lists them all"}


class Usage(BadRequest):
    code = "usage"
    sentence = "{reason}; usage: {usage}"


class BadArgument(BadRequest):
    code = "bad-argument"
    sentence = "{argument} can't be {found}; expected {expected}"


class BadName(BadRequest):
    code = "bad-name"
    sentence = "{name} can't be a name; {reason}"
    defaults = {"reason": "use 1 to 64 letters, digits, dots, underscores and hyphens"}


class ReservedName(BadRequest):
    code = "reserved-name"
    sentence = "The name {name} {is_}; take another"
    defaults = {"is_": "is reserved"}


class BadText(BadRequest):
    code = "bad-text"
    sentence = "{what} (one at position {position}); leave it out"
    defaults = {"what": "A text can't hold control characters"}


class EmptyText(BadRequest):
    code = "empty-text"
    sentence = "There is no text; write one after the name"


class TokenInText(BadRequest):
    code = "token-in-text"
    sentence = (
        "There is the token of one of your sessions in this, and whoever reads it could act as you; "
        "leave it out"
    )


class MessageTooLong(BadRequest):
    code = "message-too-long"
    sentence = "The message has {size} bytes and {limit} are allowed; send it in parts or as a file"


class NotLoggedIn(ChatError):
    code = "not-logged-in"
    sentence = "Log in first: auth <username> <password>, or register <username> <password>"


class AlreadyLoggedIn(ChatError):
    code = "already-logged-in"
    sentence = "You are logged in; log out first"


class UnknownUser(ChatError):
    code = "unknown-user"
    sentence = "There is no user {name} in {where}"
    defaults = {"where": "this realm"}


class UserExists(ChatError):
    code = "user-exists"
    sentence = "The username {name} {is_}; choose another"
    defaults = {"is_": "is taken"}


class WrongPassword(ChatError):
    code = "wrong-password"
    sentence = "That is not the password of {name}; try again"


class TooManyAttempts(ChatError):
    code = "too-many-attempts"
    sentence = "There were too many failed logins to {name} from here; try again in {seconds} s"


class TooManyRegistrations(ChatError):
    code = "too-many-registrations"
    sentence = (
        "There were too many registrations from your address; try again in {minutes} min, "
        "or ask the operator for an account"
    )


class Busy(ChatError):
    code = "busy"
    sentence = "The realm has too much to do just now; try again in a few seconds"


class PasswordMismatch(ChatError):
    code = "password-mismatch"
    sentence = "The two passwords differ; start again"


class WeakPassword(ChatError):
    code = "weak-password"
    sentence = "A password needs at least {minimum} characters; choose a longer one"


class RegistrationClosed(ChatError):
    code = "registration-closed"
    sentence = "This realm takes no new accounts; ask its operator for one"


class BadToken(ChatError):
    code = "bad-token"
    sentence = "There is no session with that token, or it has ended; log in again"


class UnknownRealm(ChatError):
    code = "unknown-realm"
    sentence = "This realm has no peer called {realm}; realms lists those that it has"


class RealmExists(ChatError):
    code = "realm-exists"
    sentence = "{realm} is a peer already; realms shows how it is, and delrealm {realm} forgets it"


class OwnRealm(ChatError):
    code = "own-realm"
    sentence = "{realm} is this realm itself; add another"


class NotOperator(ChatError):
    code = "not-operator"
    sentence = "Only operators of this realm may do that; ask one of them"


class AlreadyClaimed(ChatError):
    code = "already-claimed"
    sentence = "This realm has had its first operator; only an operator makes others"


class WrongCode(ChatError):
    code = "wrong-code"
    sentence = (
        "That is not the operator's code of this realm; "
        "it stands in the file operator-code of the realm's state folder"
    )


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


# Why a realm can't be made a peer, whatever is to be done about it.
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


class GroupClosed(ChatError):
    code = "group-closed"
    sentence = "Only members may post to {group}; join it first, or ask its admins to open it"


class NotYourself(ChatError):
    code = "not-yourself"
    sentence = "One can read one's own inbox only, and you are {name}"


class Expired(ChatError):
    code = "expired"
    sentence = "{realm} was not reached in all that time"


class PeerFailed(ChatError):
    code = "peer-failed"
    sentence = "{realm} could not take it, and does not say why; tell its operator"


class UnknownGroup(ChatError):
    code = "unknown-group"
    sentence = "There is no group {name} in {where}"
    defaults = {"where": "this realm; groups lists them"}


class GroupExists(ChatError):
    code = "group-exists"
    sentence = "The name {name} {is_}; choose another"
    defaults = {"is_": "is taken"}


class AlreadyMember(ChatError):
    code = "already-member"
    sentence = "{name} is a member of {group} already"


class NotMember(ChatError):
    code = "not-member"
    sentence = "You are not a member of {group}; join it first"


class NotTheirGroup(ChatError):
    code = "user-not-member"
    sentence = "{name} is not a member of {group}"


class NotAdmin(ChatError):
    code = "not-admin"
    sentence = "Only the admins of {group} may do that; members {group} shows who they are"


class Banned(ChatError):
    code = "banned"
    sentence = "You were removed from {group} and can't come back by yourself; ask its admins to invite you"


class NotBanned(ChatError):
    code = "not-banned"
    sentence = "{name} is not banned from {group}; bans {group} lists who is"


class GroupFull(ChatError):
    code = "group-full"
    sentence = "{group} has {limit} members and takes no more; ask its admins to make room"


class RealmFull(ChatError):
    code = "realm-full"
    sentence = (
        "{group} has {limit} members from {realm} and takes no more from there; "
        "ask the operator of the group's realm to raise the limit"
    )


class TooManyGroups(ChatError):
    code = "too-many-groups"
    sentence = "{name} is in {limit} groups and can be in no more; leave one first"


class TooManyNewGroups(ChatError):
    code = "too-many-new-groups"
    sentence = "You made {limit} groups within an hour; make the next one in {minutes} min"


class UnknownContact(ChatError):
    code = "unknown-contact"
    sentence = "{name} is not on your list of contacts"


class ContactExists(ChatError):
    code = "contact-exists"
    sentence = "{name} is on your list of contacts already"


class TooManyContacts(ChatError):
    code = "too-many-contacts"
    sentence = "You have {limit} contacts, the most that an account may have; delete one first"


class AmbiguousName(ChatError):
    code = "ambiguous-name"
    sentence = "{name} is a user and a group; write @{name} for the user or #{name} for the group"


class UnknownConversation(ChatError):
    code = "unknown-conversation"
    sentence = "You have no conversation {name}"


class NotInRoom(ChatError):
    code = "not-in-room"
    sentence = "You are in no room; join one first: roomjoin <room>"


class UnknownFile(ChatError):
    code = "unknown-file"
    sentence = "There is no file {name} that you may fetch; files lists them"


class BadFileName(BadRequest):
    code = "bad-filename"
    sentence = "{name} can't be a file's name; use one with letters or digits in it"


class FileTooLarge(ChatError):
    code = "file-too-large"
    sentence = "The file has {size} bytes and {limit} are allowed; send a smaller one"


class QuotaExceeded(ChatError):
    code = "quota-exceeded"
    sentence = "Your files may take {limit} bytes and {left} are left; send a smaller one"


class StorageFailed(ChatError):
    code = "storage-failed"
    sentence = (
        "The realm can't store anything just now, and nothing of this was kept; try again later"
    )


class DiskFull(StorageFailed):
    code = "disk-full"
    sentence = (
        "The realm's disk is nearly full, so it takes no messages and files just now; try again later, "
        "and tell its operator"
    )


class MessageQuota(ChatError):
    code = "message-quota"
    sentence = (
        "You may send {limit} bytes of messages a day, and they are used up; "
        "try again in {minutes} minutes"
    )


class RealmQuota(ChatError):
    """As MessageQuota, for all of another realm together."""

    code = "realm-quota"
    sentence = (
        "{where} takes {limit} bytes of messages a day from one realm, and they are used up; "
        "try again in {minutes} minutes"
    )
    defaults = {"where": "this realm"}


class FileMissing(ChatError):
    code = "file-missing"
    sentence = "The file {name} is gone from the realm's disk; have it sent again"


class FileDamaged(ChatError):
    code = "file-damaged"
    sentence = (
        "The file {name} is damaged on the realm's disk and is not given out; have it sent again"
    )


class TooManyConnections(ChatError):
    code = "too-many-connections"
    sentence = "There are too many connections {where}; try again later"


class Idle(ChatError):
    code = "idle"
    sentence = "Nothing was heard for {seconds} s; connect again when you need to"


class WrongProtocol(ChatError):
    code = "wrong-protocol"
    sentence = (
        "This port is for chatd's {dialect} protocol, and {found} came; for a browser use the realm's web "
        "address, for another program the port of its own protocol"
    )


class ShuttingDown(ChatError):
    code = "shutting-down"
    sentence = "The realm is shutting down; connect again in a while"


class InternalError(ChatError):
    code = "internal"
    sentence = "internal error {reference}; tell the operator this reference, it is in the log"


class UseHttp(ChatError):
    code = "use-http"
    sentence = "Files go over HTTP here: PUT /uploads/<key> sends one, GET /files/<code> fetches it"


class UnknownPage(BadRequest):
    code = "unknown-page"
    sentence = "There is nothing at {path}; begin at /"


class BadMethod(BadRequest):
    code = "bad-method"
    sentence = "{path} can't be asked with {method}; use {allowed}"


class ForeignOrigin(ChatError):
    code = "foreign-origin"
    sentence = (
        "This came from a page of {origin}, which may not speak for you here; "
        "use the realm's own page, or have its operator add that to [web] origins"
    )


class ForeignHost(ChatError):
    code = "foreign-host"
    sentence = (
        "This realm is not called {host}; open it by its own name or address, "
        "or have its operator add that to [web] hosts"
    )


class BadHost(BadRequest):
    code = "bad-host"
    sentence = "A request names one host, in one Host field that is well-formed; send it so"


class BodyTooLarge(BadRequest):
    code = "body-too-large"
    sentence = "The body of this request may have {limit} bytes; send less"


class LengthRequired(BadRequest):
    code = "length-required"
    sentence = "The length of the body has to be known first; send Content-Length"


class UploadOffset(ChatError):
    code = "upload-offset"
    sentence = "There are {offset} bytes of that file here; go on from there"


class TooManyUploads(ChatError):
    code = "too-many-uploads"
    sentence = "You have {limit} files under way; finish or give up one of them first"


def none_known(errors: Mapping[str, ChatError]) -> ChatError:
    """One error for a list of people of whom none could be reached."""
    if len(errors) == 1:
        return next(iter(errors.values()))
    for error in errors.values():
        if not isinstance(error, UnknownUser | UnknownRealm):
            return error
    if all(isinstance(error, UnknownRealm) for error in errors.values()):
        realms = dict.fromkeys(str(error.details["realm"]) for error in errors.values())
        return UnknownRealm(realm=", ".join(realms))
    return UnknownUser(name=", ".join(errors))


def every_error() -> list[type[ChatError]]:
    """All refusals there are, in the order in which they stand here."""
    found: list[type[ChatError]] = []
    waiting = ChatError.__subclasses__()
    while waiting:
        error = waiting.pop(0)
        if "code" in vars(error):
            found.append(error)
        waiting.extend(error.__subclasses__())
    return found
