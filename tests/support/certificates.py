"""Certificates of a test authority, and a handshake that returns the certificate of a server."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import trustme
from OpenSSL import SSL


class Issuer:
    """An authority whose intermediate certificate signs those of servers."""

    def __init__(self) -> None:
        self.root = trustme.CA()
        self.between = self.root.create_child_ca()

    def write(self, folder: Path, chain: str = "fullchain.pem", rest: str | None = None) -> None:
        """Write a key and certificate. The intermediate one follows it, or is in a file of its own."""
        issued = self.between.issue_cert("localhost")
        leaf, *others = (pem.bytes() for pem in issued.cert_chain_pems)
        (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
        (folder / chain).write_bytes(leaf + (b"".join(others) if rest is None else b""))
        if rest is not None:
            (folder / rest).write_bytes(b"".join(others))

    def trusted_by(self) -> ssl.SSLContext:
        """The settings of a client that trusts only the root certificate."""
        context = ssl.create_default_context()
        self.root.configure_trust(context)
        return context


def shake_hands(server: SSL.Connection, client: ssl.SSLContext) -> list[bytes]:
    """The certificates that the client was shown, in DER, leaf first. Raises ssl.SSLError for
    untrusted ones."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    server.set_accept_state()
    for _ in range(10):
        try:
            there.do_handshake()
            break
        except ssl.SSLWantReadError:
            pass
        finally:
            server.bio_write(outgoing.read())
        with contextlib.suppress(SSL.WantReadError):
            server.do_handshake()
        incoming.write(server.bio_read(1 << 16))
    shown = there.getpeercert(True)
    assert shown is not None
    return [shown]
