"""Which authorities vouch for the web servers that are asked for realms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chatd.federation.amp import finding
from chatd.federation.amp.finding import web_trust
from chatd.federation.amp.well_known import BadDocument
from tests.support.peering import PeeringTestCase
from tests.support.public_authority import PublicAuthority

ONE, TWO, THREE = "satu.example.org", "dua.example.org", "tiga.example.org"


class TrustTestCase(PeeringTestCase):
    async def test_file(self) -> None:
        """`ca_file` is read at the start and at a reload, not at each lookup."""
        seen: list[Any] = []

        class Fetcher:
            def __init__(self, _reactor: object, trust: Any) -> None:
                seen.append(trust)

            async def fetch(self, _name: str, _addresses: Sequence[str]) -> Any:
                raise BadDocument("there is none")

        self.patch(finding, "WellKnownFetcher", Fetcher)
        before, after = PublicAuthority(), PublicAuthority()
        file = before.write_root(self.folder / "roots.pem")
        written: dict[str, Any] = {**before.write(self.folder, ONE)}
        realm = self.make(ONE, trust="web", ca_file=file, **written)
        for name in (TWO, THREE):
            realm.zone.host(name, "127.0.0.1")
        peers = realm.config.peers

        async def looks_up(name: str) -> None:
            with self.assertRaises(Exception):  # noqa: B017 - whatever a lookup without a result raises
                await realm.directory.manager.dialer.finder.places(name, "account 1")

        file.unlink()
        await looks_up(TWO)
        after.write_root(file)
        realm.keys.reload()
        await looks_up(THREE)
        self.assertEqual(len(seen), 2)
        self.assertIsNot(seen[0], seen[1])
        self.assertIs(seen[1], web_trust(peers, (after.root,)))

    def test_without_a_file(self) -> None:
        realm = self.make("realm1")
        peers = realm.config.peers
        for each in (peers, msgspec.structs.replace(peers, trust="web")):
            self.assertEqual(type(web_trust(each, ())).__name__, "OpenSSLDefaultPaths")
