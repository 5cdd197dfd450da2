"""Requests over HTTP."""

from __future__ import annotations

from chatd.base.errors.base import BadRequest, ChatError


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
