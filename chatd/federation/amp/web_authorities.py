"""Checks certificates as browsers do: a public authority has issued them to a server of that name.

The rules are those of the web (RFC 5280, section 6, and the Baseline Requirements of the CA/Browser Forum):
the path ends at a trusted root, every certificate is valid now and may be used for TLS servers, and the
name is on the first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509 import verification


class NotIssued(Exception):
    """No trusted authority has issued the certificate for that name. `str()` is the reason."""


@lru_cache(maxsize=4)
def _store_of(authorities: tuple[x509.Certificate, ...]) -> verification.Store:
    return verification.Store(list(authorities))


def check_issued(
    chain: Sequence[x509.Certificate],
    name: str,
    now: datetime,
    authorities: tuple[x509.Certificate, ...],
) -> None:
    """Check that one of `authorities` has issued the first certificate of `chain` for the DNS name, directly
    or through the others. `now` has a time zone. Raises NotIssued."""
    leaf, *others = chain
    if not authorities:
        raise NotIssued("no authority is trusted")
    try:
        builder = verification.PolicyBuilder().store(_store_of(authorities))
        builder = builder.time(now.astimezone(UTC).replace(tzinfo=None))
        builder.build_server_verifier(x509.DNSName(name)).verify(leaf, others)
    except verification.VerificationError as error:
        raise NotIssued(str(error).partition(" (encountered processing")[0]) from None
    except ValueError as error:  # a name that can't be in the DNS, or a malformed certificate
        raise NotIssued(str(error)) from None
