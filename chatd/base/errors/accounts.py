"""Errors about accounts, logins, operators and contacts."""

from __future__ import annotations

from chatd.base.errors.base import ChatError


class NotLoggedIn(ChatError):
    code = "not-logged-in"
    sentence = "Log in first: auth <username> <password>, or register <username> <password>"


class AlreadyLoggedIn(ChatError):
    code = "already-logged-in"
    sentence = "You are already logged in; log out first"


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
    sentence = "The password for {name} is wrong; try again"


class TooManyAttempts(ChatError):
    code = "too-many-attempts"
    sentence = "Too many logins to {name} from your address have failed; try again in {seconds} s"


class TooManyRegistrations(ChatError):
    code = "too-many-registrations"
    sentence = (
        "There have been too many registrations from your address; try again in {minutes} min, or ask"
        " the operator for an account"
    )


class PasswordMismatch(ChatError):
    code = "password-mismatch"
    sentence = "The two passwords differ; start again"


class WeakPassword(ChatError):
    code = "weak-password"
    sentence = "A password needs at least {minimum} characters; choose a longer one"


class RegistrationClosed(ChatError):
    code = "registration-closed"
    sentence = "This realm does not accept new accounts; ask its operator for one"


class InvitationNeeded(ChatError):
    code = "invitation-needed"
    sentence = (
        "New accounts of this realm need an invitation; register with it at {where}, or add "
        "invite=<code> after the password in plain or json"
    )


class BadInvitation(ChatError):
    code = "bad-invitation"
    sentence = "The invitation is not valid, or not any more; ask who sent it for another"


class TooManyCodes(ChatError):
    code = "too-many-codes"
    sentence = "Too many wrong codes came from your address; try again in {seconds} s"


class BadResetLink(ChatError):
    code = "bad-reset-link"
    sentence = "The link is not valid, or not any more; ask an operator of this realm for another"


class NoWebDoor(ChatError):
    code = "no-web-door"
    sentence = "This realm has no door for browsers; change it with admin user passwd {name}"


class InvitationNotFound(ChatError):
    code = "invitation-not-found"
    sentence = "There is no invitation {invitation}; admin invite list shows them"


class BadToken(ChatError):
    code = "bad-token"
    sentence = "The token is wrong or its session has ended; log in again"


class UnknownSession(ChatError):
    code = "unknown-session"
    sentence = "You have no session {session}; sessions lists yours"


class SessionNotFound(ChatError):
    code = "session-not-found"
    sentence = "{name} has no session {session}; admin user sessions {name} lists them"


class NotOperator(ChatError):
    code = "not-operator"
    sentence = "Only operators of this realm may do that; ask one of them"


class NotModerator(ChatError):
    code = "not-moderator"
    sentence = "Only moderators of this realm may do that; ask one of them"


class AccountDisabled(ChatError):
    code = "account-disabled"
    sentence = "The account {name} is disabled; ask an operator of this realm"


class NotBannedHere(ChatError):
    code = "not-banned-here"
    sentence = "There is no ban of {target}; admin ban list lists the bans"


class TooManyBans(ChatError):
    code = "too-many-bans"
    sentence = "There are {limit} bans, the most a realm may have; remove one first"


class LocksYouOut(ChatError):
    code = "locks-you-out"
    sentence = (
        "A ban of {target} would lock you out yourself; repeat it with force=on if you mean it"
    )


class TooManyExports(ChatError):
    code = "too-many-exports"
    sentence = "You may export your data {limit} times an hour; try again in {minutes} min"


class ExportUnfinished(ChatError):
    code = "export-unfinished"
    sentence = "Your last export is not finished; finish or cancel that download first"


class BadArchive(ChatError):
    code = "bad-archive"
    sentence = "This is no archive that can be imported: {reason}"


class TooManyImports(ChatError):
    code = "too-many-imports"
    sentence = "You may import {limit} archives an hour; try again in {minutes} min"


class ImportUnfinished(ChatError):
    code = "import-unfinished"
    sentence = "Your last import is not finished; wait for it, or cancel it first"


class NoImport(ChatError):
    code = "no-import"
    sentence = "You have no import, or it has ended"


class ImportedMessage(ChatError):
    code = "imported-message"
    sentence = "Message #{seq} is imported from an archive, so it can't be changed or reported"


class LastOperator(ChatError):
    code = "last-operator"
    sentence = "You are the only operator of this realm, so your account can't be deleted or moved"


class OnlyOperator(ChatError):
    code = "only-operator"
    sentence = "{name} is the only operator of this realm; make another account an operator first"


class OwnAccount(ChatError):
    code = "own-account"
    sentence = "That is your own account, which only deleteaccount deletes"


class AlreadyClaimed(ChatError):
    code = "already-claimed"
    sentence = (
        "This realm already has its first operator, and the code works only once; ask the operator "
        "for what you need"
    )


class WrongCode(ChatError):
    code = "wrong-code"
    sentence = (
        "That is not the operator code of this realm; find the code in the file operator-code in the "
        "realm's state folder"
    )


class NotAccepted(ChatError):
    code = "not-accepted"
    sentence = "{name} does not accept messages from you"


class RequestPending(ChatError):
    code = "request-pending"
    sentence = "Your message request to {name} waits for an answer; write again once it is accepted"


class UnknownRequest(ChatError):
    code = "unknown-request"
    sentence = "There is no message request from {name}; requests lists yours"


class NotBlocked(ChatError):
    code = "not-blocked"
    sentence = "{name} is not blocked; blocked lists whom you have blocked"


class TooManyBlocks(ChatError):
    code = "too-many-blocks"
    sentence = "You have {limit} blocks, the most an account may have; lift one first"


class UnknownPicture(ChatError):
    code = "unknown-picture"
    sentence = "{name} has no picture"


class NotYourPicture(ChatError):
    code = "not-your-picture"
    sentence = "You can change only your own picture and those of groups here, not that of {name}"


class UnknownContact(ChatError):
    code = "unknown-contact"
    sentence = "{name} is not on your list of contacts"


class ContactExists(ChatError):
    code = "contact-exists"
    sentence = "{name} is already on your list of contacts"


class TooManyContacts(ChatError):
    code = "too-many-contacts"
    sentence = "You have {limit} contacts, the most an account may have; delete one first"
