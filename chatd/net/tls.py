"""The certificate and key of an `ssl:` door. They can be reloaded while the door is open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.x509 import Certificate, load_pem_x509_certificates
from OpenSSL import SSL
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer


@implementer(IOpenSSLServerConnectionCreator)
class DoorTLS:
    """The certificate and key of an `ssl:` endpoint.

    If the file of `certKey` has more than one certificate, like Let's Encrypt's fullchain.pem, all of them
    are sent, unless `extraCertChain` names the others.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.reload()

    @property
    def files(self) -> Sequence[Path]:
        """The files of the key and the certificates."""
        arguments = _arguments(self._endpoint)
        names = [arguments.get("privateKey", "server.pem")]
        names += [arguments[key] for key in ("certKey", "extraCertChain") if key in arguments]
        return [Path(name) for name in names]

    def reload(self) -> None:
        """Read the files again, for new connections. If that raises, nothing changes."""
        self._context = _context_of(self._endpoint)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._context, None)


class _Capture:
    """A reactor for endpoints that keeps the TLS options of a port instead of opening it."""

    options: Any  # CertificateOptions

    def listenSSL(  # noqa: N802
        self,
        _port: int,
        _factory: Any,
        contextFactory: Any,  # noqa: N803
        **_rest: Any,
    ) -> None:
        self.options = contextFactory


def _context_of(endpoint: str) -> SSL.Context:
    """Twisted's TLS settings for the endpoint, with its certificate, the chain and the key. Raises the errors
    of Twisted and OpenSSL."""
    capture = _Capture()
    serverFromString(capture, endpoint).listen(None)
    options = capture.options
    certificate, key, chain = options.certificate, options.privateKey, options.extraCertChain
    # pyOpenSSL's own objects are deprecated as arguments of a context, and Twisted passes nothing else.
    options.certificate = options.privateKey = None
    options.extraCertChain = []
    context: SSL.Context = options.getContext()
    context.use_certificate(certificate.to_cryptography())
    context.use_privatekey(key.to_cryptography_key())
    context.check_privatekey()
    for each in [one.to_cryptography() for one in chain] or _chain_after(endpoint):
        context.add_extra_chain_cert(each)
    return context


def _chain_after(endpoint: str) -> Sequence[Certificate]:
    """The certificates after the first one in the endpoint's certificate file."""
    arguments = _arguments(endpoint)
    path = Path(arguments.get("certKey") or arguments.get("privateKey", "server.pem"))
    return load_pem_x509_certificates(path.read_bytes())[1:]


def _arguments(endpoint: str) -> dict[str, str]:
    """The named arguments of an endpoint string. A backslash escapes a colon."""
    parts = re.split(r"(?<!\\):", endpoint)
    named = (part.partition("=") for part in parts if "=" in part)
    return {key: re.sub(r"\\(.)", r"\1", value) for key, _, value in named}
