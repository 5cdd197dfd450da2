"""Assembles what finds realms: the name servers, the web servers, and what remembers their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates

from chatd.base.clocks import IReactor
from chatd.base.config import PeersConfig
from chatd.base.whereabouts import Whereabouts
from chatd.federation.amp.lookup import DialPlace, RealmLookup
from chatd.federation.amp.name_servers import DNSResolver, make_resolver
from chatd.federation.amp.pem import certificate_pem
from chatd.federation.amp.place_finder import PlaceFinder
from chatd.federation.amp.well_known import WellKnownFetcher
from chatd.service.context import Context


def web_trust(peers: PeersConfig, authorities: tuple[x509.Certificate, ...]) -> Any:
    """The authorities that vouch for web servers: those of the system, or with `trust = web` and a `ca_file`
    its `authorities`."""
    if peers.trust != "web" or peers.ca_file is None:
        return platformTrust()
    return _root_of(authorities)


@lru_cache(maxsize=1)
def _root_of(authorities: tuple[x509.Certificate, ...]) -> Any:
    found = [Certificate.loadPEM(certificate_pem(each)) for each in authorities]
    return trustRootFromCertificates(found)


def make_finder(
    context: Context,
    reactor: IReactor,
    authorities: Callable[[], tuple[x509.Certificate, ...]],
    resolver: Callable[[], DNSResolver] | None = None,
) -> PlaceFinder:
    """A finder for the realm of `context`. `authorities` returns those of `ca_file`, as they were last read.
    `resolver` is asked in place of the name servers of the configuration or of the system."""

    def ask() -> DNSResolver:
        return make_resolver(reactor, context.config.peers.name_servers)

    def fetch(name: str, addresses: Sequence[str]) -> Deferred[Whereabouts]:
        fetcher = WellKnownFetcher(reactor, web_trust(context.config.peers, authorities()))
        fetching: Deferred[Any] = Deferred.fromCoroutine(fetcher.fetch(name, addresses))
        return fetching

    def find(realm: str) -> Deferred[list[DialPlace]]:
        private = context.config.peers.private
        lookup = RealmLookup(
            context.clock, resolver or ask, fetch, context.random_bytes, private=private
        )
        return lookup.find(realm)

    finder = PlaceFinder(context.clock, find)
    finder.share(context.news)
    return finder
