"""Accounts, logging in, operators and contacts."""

from __future__ import annotations

from chatd.base.errors.base import ChatError


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


class NotOperator(ChatError):
    code = "not-operator"
    sentence = "Only operators of this realm may do that; ask one of them"


class AlreadyClaimed(ChatError):
    code = "already-claimed"
    sentence = (
        "This realm has had its first operator, and the code works only once; ask the operator for "
        "what you need"
    )


class WrongCode(ChatError):
    code = "wrong-code"
    sentence = (
        "That is not the operator's code of this realm; "
        "it stands in the file operator-code of the realm's state folder"
    )


class UnknownContact(ChatError):
    code = "unknown-contact"
    sentence = "{name} is not on your list of contacts"


class ContactExists(ChatError):
    code = "contact-exists"
    sentence = "{name} is on your list of contacts already"


class TooManyContacts(ChatError):
    code = "too-many-contacts"
    sentence = "You have {limit} contacts, the most that an account may have; delete one first"
