"""Certificates and TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl

from chatd.conformance.bench import Bench, CheckFailed, refused, require
from chatd.conformance.links import (
    LinkEnded,
    NoAnswer,
    PlayedLink,
    RefusedThere,
    client_context,
    closing,
)
from chatd.conformance.names import dns_name, first_dns_name, new_key, read_key, write_certificate
from chatd.conformance.suite import check

SECTION = "Identity"


def _let_in(link: PlayedLink, bench: Bench) -> bool:
    """Whether the tested realm answers Hello."""
    try:
        link.ask("Hello", **bench.one.hello())
    except (LinkEnded, RefusedThere, NoAnswer):
        return False
    return True


@check(SECTION, "TLS 1.2 is not spoken")
def old_tls(bench: Bench) -> None:
    context = client_context(bench.one.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.suppress(OSError), closing(bench.one.connect(context=context)) as link:
        require(not _let_in(link, bench), "a link with TLS 1.2 is let in")


@check(SECTION, "sessions of TLS are not resumed")
def no_resumption(bench: Bench) -> None:
    context = client_context(bench.one.certificate)
    with closing(bench.one.connect(context=context)) as link:
        link.ask("Hello", **bench.one.hello())
        shown = link.channel.socket
        session = shown.session if isinstance(shown, ssl.SSLSocket) else None
    if session is None:
        return
    plain = socket.create_connection(bench.place.address, bench.place.patience)
    with context.wrap_socket(plain, session=session) as again:
        require(not again.session_reused, "a session was resumed, without certificates")


@check(SECTION, "who shows no certificate is not let in")
def no_certificate(bench: Bench) -> None:
    with (
        contextlib.suppress(OSError),
        closing(bench.one.connect(context=client_context(None))) as link,
    ):
        require(not _let_in(link, bench), "a link without a certificate is let in")


@check(SECTION, "a certificate without a DNS name is not let in")
def no_name(bench: Bench) -> None:
    path = bench.folder / "nameless.pem"
    write_certificate(path, new_key())
    with bench.one.dialled(path) as link:
        require(not _let_in(link, bench), "a realm without a DNS name in its certificate is let in")


@check(SECTION, "the first DNS name of the certificate is the realm's; the others do not count")
def first_name(bench: Bench) -> None:
    with bench.one.dialled() as link:
        shown = link.channel.socket
        certificate = shown.getpeercert(True) if isinstance(shown, ssl.SSLSocket) else None
        name = first_dns_name(certificate) if certificate else None
        said = bench.tested.realm
        require(name == dns_name(said), f"the certificate has {name} and Hello says {said}")
    path = bench.folder / "two-names.pem"
    own, other = dns_name(bench.one.name), dns_name(bench.two.name)
    write_certificate(path, read_key(bench.one.certificate), own, other)
    with bench.one.dialled(path) as link, refused("wrong-name"):
        link.ask("Hello", **bench.two.hello())


@check(SECTION, "a name that is no host name has the DNS name of its key in hexadecimal digits")
def odd_name(bench: Bench) -> None:
    with bench.odd.linked() as link:
        link.ask("Ping")


@check(SECTION, "names with equal keys are the same realm")
def same_key(bench: Bench) -> None:
    with bench.one.linked(realm=bench.one.name.upper().encode()) as link:
        link.ask("Ping")


@check(SECTION, "a renewed certificate with the same key is let in")
def renewed(bench: Bench) -> None:
    with bench.one.linked():
        pass
    path = bench.folder / "renewed.pem"
    write_certificate(path, read_key(bench.one.certificate), dns_name(bench.one.name))
    with bench.one.dialled(path) as link:
        require(_let_in(link, bench), "a realm with a renewed certificate is not let in")


@check(SECTION, "nothing is answered before the certificate is accepted, and the reason is told")
def another_certificate(bench: Bench) -> None:
    """Where the first certificate of a realm is remembered: one with another key is not let in."""
    with bench.one.linked():
        pass
    path = bench.folder / "another.pem"
    write_certificate(path, new_key(), dns_name(bench.one.name))
    with bench.one.dialled(path) as link:
        if _let_in(link, bench):
            raise CheckFailed("another certificate of a known realm is let in")
        require(link.told("Goodbye"), "no Goodbye says why")
        (goodbye,) = link.told("Goodbye")
        require(goodbye.keys() >= {"code", "reason"}, "Goodbye has no code and reason")
