"""Errors about HTTP requests."""

from __future__ import annotations

from chatd.base.errors.base import BadRequest, ChatError


class UseHttp(ChatError):
    code = "use-http"
    sentence = (
        "Files go over HTTP here: PUT /uploads/<key> sends one to people or a group, GET /files/<code> "
        "fetches it, GET /files/<code>?room fetches one of a room, GET /export fetches what you have here, "
        "and PUT /import imports an archive"
    )


class UnknownPage(BadRequest):
    code = "unknown-page"
    sentence = "There is no page at {path}; start at /"


class BadMethod(BadRequest):
    code = "bad-method"
    sentence = "{path} does not support {method}; use {allowed}"


class ForeignOrigin(ChatError):
    code = "foreign-origin"
    sentence = (
        "This request came from a page of {origin}, which may not act for you here; use the realm's "
        "own page, or ask its operator to add that origin to [web] origins"
    )


class ForeignHost(ChatError):
    code = "foreign-host"
    sentence = (
        "This realm is not called {host}; open it by its own name or address, or ask its operator to "
        "add that name to [web] hosts"
    )


class BadHost(BadRequest):
    code = "bad-host"
    sentence = "A request needs exactly one valid Host field; send it with one"


class BodyTooLarge(BadRequest):
    code = "body-too-large"
    sentence = "The body of this request may have at most {limit} bytes; send less"


class LengthRequired(BadRequest):
    code = "length-required"
    sentence = "The length of the body must be known in advance; send Content-Length"
