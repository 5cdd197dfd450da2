"""TLS 1.3 between realms (RFC 8446): both sides show a certificate.

OpenSSL checks only that the other side has the key of the certificate that it shows. Whose certificate that
is, is decided by chatd.federation.amp.trust once the handshake is complete.
"""

from __future__ import annotations

from typing import Any, Protocol

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from zope.interface import implementer

from chatd.base.errors import BadCertificate
from chatd.federation.amp.identity import RealmIdentity
from chatd.net.sockets import StreamTransport


class TLSTransport(StreamTransport, Protocol):
    """The TLS transport of a link (twisted.protocols.tls.TLSMemoryBIOProtocol)."""

    def getHandle(self) -> SSL.Connection: ...  # noqa: N802


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class TLSOptions:
    """Makes TLS connections that show `identity`, for either end. The other end must show a certificate."""

    def __init__(self, identity: RealmIdentity) -> None:
        self.show(identity)

    def show(self, identity: RealmIdentity) -> None:
        """Use this identity from the next connection on."""
        self._context = make_context(identity)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._context, None)


def make_context(identity: RealmIdentity) -> SSL.Context:
    """Raises SSL.Error if OpenSSL can't use the identity."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    # A resumed session shows no certificate (RFC 8446, 2.2), and every connection must.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"chatd")  # OpenSSL requires one where certificates are requested
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_found: True)
    context.use_privatekey(identity.private_key)
    context.use_certificate(identity.certificate)
    for certificate in identity.chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.check_privatekey()
    return context


def peer_chain(transport: TLSTransport) -> list[x509.Certificate]:
    """The certificates that the other end of a TLS transport showed, leaf first; empty if it showed none.

    Call it after `handshakeCompleted`. Raises BadCertificate if a certificate is malformed.
    """
    connection: SSL.Connection = transport.getHandle()
    try:
        leaf = connection.get_peer_certificate(as_cryptography=True)
        # OpenSSL leaves out the leaf at one end and not at the other.
        rest = connection.get_peer_cert_chain(as_cryptography=True) or ()
    except (ValueError, x509.InvalidVersion):
        raise BadCertificate(realm="the other realm", reason="it can't be understood") from None
    if leaf is None:
        return []
    return [leaf, *(certificate for certificate in rest if certificate != leaf)]
