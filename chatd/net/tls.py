"""The certificate and key of an `ssl:` door, which can be read again while the door is open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer


@implementer(IOpenSSLServerConnectionCreator)
class DoorTLS:
    """The certificate and key of the door of an `ssl:` endpoint.

    If the file of `certKey` holds more than one certificate, like Let's Encrypt's fullchain.pem, all of them
    are sent, unless `extraCertChain` names the others.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.reload()

    def reload(self) -> None:
        """Read the files again, for new connections. If it raises, nothing has changed."""
        self._context = _options_of(self._endpoint).getContext()

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._context, None)


class _Capture:
    """A reactor for endpoints that keeps the arguments of a port instead of opening it."""

    options: CertificateOptions

    def listenSSL(  # noqa: N802
        self,
        _port: int,
        _factory: Any,
        contextFactory: Any,  # noqa: N803
        **_rest: Any,
    ) -> None:
        self.options = contextFactory


def _options_of(endpoint: str) -> CertificateOptions:
    """Twisted's options for the endpoint, with the rest of the chain. Raises what Twisted and OpenSSL
    raise."""
    capture = _Capture()
    serverFromString(capture, endpoint).listen(None)
    options = capture.options
    if not options.extraCertChain:
        arguments = _arguments(endpoint)
        path = Path(arguments.get("certKey") or arguments.get("privateKey", "server.pem"))
        chain = load_pem_x509_certificates(path.read_bytes())
        options.extraCertChain = [X509.from_cryptography(each) for each in chain[1:]]
    return options


def _arguments(endpoint: str) -> dict[str, str]:
    """The named arguments of an endpoint string. A backslash escapes a colon."""
    parts = re.split(r"(?<!\\):", endpoint)
    named = (part.partition("=") for part in parts if "=" in part)
    return {key: re.sub(r"\\(.)", r"\1", value) for key, _, value in named}
