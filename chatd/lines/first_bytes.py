"""Recognizes other protocols by the first bytes of a connection.

A web page can make a browser send a request to any port. The request line and the headers would be refused as
unknown commands, but the page controls the body, which would be executed. So a connection that begins with
HTTP or TLS is refused as a whole, before its first line is complete.
"""

from __future__ import annotations

import re

# The registry of RFC 9110, 16.1, and the first word of the HTTP/2 preface (RFC 9113, 3.4).
METHODS = (
    *("ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET"),
    *("HEAD", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE"),
    *("MKREDIRECTREF", "MKWORKSPACE", "OPTIONS", "ORDERPATCH", "PATCH", "POST", "PRI", "PROPFIND"),
    *("PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "TRACE", "UNBIND", "UNCHECKOUT"),
    *("UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL"),
)
HTTP = "HTTP"
TLS = "TLS"
_STARTS = {f"{method} ".encode(): HTTP for method in METHODS} | {
    b"\x16\x03": TLS  # a handshake record of any version (RFC 8446, 5.1)
}
_LONGEST = max(map(len, _STARTS))
# A method may be any word (RFC 9110, 9.1). The target begins as no name does: it is a path, a URL or `*`.
_REQUEST_LINE = re.compile(
    rb"[^ ]+ (?:/|\*|[A-Za-z][A-Za-z0-9+.-]*://)[^ ]* HTTP/[0-9](?:\.[0-9])?"
)


class FirstBytes:
    """Checks the first bytes of a connection, which may arrive in pieces of any size."""

    __slots__ = ("_decided", "_start")

    def __init__(self) -> None:
        self._start = b""
        self._decided = False

    def feed(self, data: bytes) -> str:
        """The name of the other protocol that a client speaks. Empty if it speaks none, or if more bytes
        are needed. Leading line ends are skipped, as HTTP servers do (RFC 9112, 2.2)."""
        if self._decided:
            return ""
        start = self._start = (self._start + data).lstrip(b"\r\n")[:_LONGEST]
        for known, protocol in _STARTS.items():
            if start.startswith(known):
                self._decided = True
                return protocol
        self._decided = not any(known.startswith(start) for known in _STARTS)
        return ""


def is_request_line(line: bytes) -> bool:
    """Whether a first line is an HTTP request line, with any method."""
    return _REQUEST_LINE.fullmatch(line) is not None
