"""Errors about malformed requests and invalid arguments."""

from __future__ import annotations

from chatd.base.errors.base import BadRequest, ChatError


class BadEncoding(BadRequest):
    code = "bad-encoding"
    sentence = "The line is not UTF-8; send text as UTF-8"


class BadSyntax(BadRequest):
    code = "bad-syntax"
    sentence = "That line is not a valid request: {reason}"


class LineTooLong(BadRequest):
    code = "line-too-long"
    sentence = "The line is longer than {limit} bytes and was dropped; send a shorter one"


class UnknownCommand(BadRequest):
    code = "unknown-command"
    sentence = "There is no command {verb}; {advice}"
    defaults = {"advice": "help lists all commands"}


class Usage(BadRequest):
    code = "usage"
    sentence = "{reason}; usage: {usage}"


class BadArgument(BadRequest):
    code = "bad-argument"
    sentence = "{argument} can't be {found}; expected {expected}"


class BadName(BadRequest):
    code = "bad-name"
    sentence = "{name} is not a valid name; {reason}"
    defaults = {"reason": "use 1 to 64 letters, digits, dots, underscores and hyphens"}


class ReservedName(BadRequest):
    code = "reserved-name"
    sentence = "The name {name} {is_}; choose another"
    defaults = {"is_": "is reserved"}


class BadText(BadRequest):
    code = "bad-text"
    sentence = "{what} (one at position {position}); leave it out"
    defaults = {"what": "A text can't contain control characters"}


class EmptyText(BadRequest):
    code = "empty-text"
    sentence = "The text is missing; write it after the name"


class TokenInText(BadRequest):
    code = "token-in-text"
    sentence = (
        "This contains the token of one of your sessions, and anyone who reads it could act as you; "
        "leave it out"
    )


class MessageTooLong(BadRequest):
    code = "message-too-long"
    sentence = "The message has {size} bytes and {limit} are allowed; send it in parts or as a file"


class AmbiguousName(ChatError):
    code = "ambiguous-name"
    sentence = "{name} is a user and a group; write @{name} for the user or #{name} for the group"
