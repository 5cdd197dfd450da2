"""Heads of requests that Twisted's reader does not withstand."""

from __future__ import annotations

from twisted.web.http import HTTPChannel

LENGTH_DIGITS = 18  # of a Content-Length; no body has more bytes than they can say


class HeadChannel(HTTPChannel):
    """A connection on which a malformed head is answered with 400."""

    def headerReceived(self, line: bytes) -> bool:
        """Whether the next field of the head is well-formed.

        Python raises an exception for a number of more than 4300 digits. Twisted does not expect it, so each
        such request would leave a traceback in the log.
        """
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t").lower()
        too_long = name == b"content-length" and len(value) > LENGTH_DIGITS
        # Twisted takes `identity` for no body, and what is in front of it may take it for another.
        if too_long or (name == b"transfer-encoding" and value != b"chunked"):
            self._respondToBadRequestAndDisconnect()
            return False
        return bool(super().headerReceived(line))
