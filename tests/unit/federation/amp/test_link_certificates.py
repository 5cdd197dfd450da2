"""Which realms are let in by their certificate, and what is told to those that are not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

import trustme
from OpenSSL import SSL
from twisted.internet import reactor

from chatd.base.config import PeerConfig, PeersConfig
from chatd.base.errors import RealmUnreachable
from chatd.federation.amp import tls
from chatd.federation.amp.identity_files import rotate
from chatd.federation.amp.tls import TLSOptions
from tests.support.common import sleep
from tests.support.peering import Person, TLSRealm, until
from tests.support.realm_certificates import Foreign, self_signed
from tests.support.unauthenticated import TLSTestCase, UnauthenticatedPeer, certified, kept

net: Any = reactor


class Certificates(TLSTestCase):
    async def test_ended(self) -> None:
        shown = certified("realm2", begin=-3, end=-2)
        await self.refused_both_ways(shown, "bad-certificate", "realm2", "it ended on", "renew")

    async def test_not_begun(self) -> None:
        shown = certified("realm2", begin=2, end=3)
        await self.refused_both_ways(shown, "bad-certificate", "realm2", "it holds only from")

    async def test_without_a_name(self) -> None:
        await self.refused_both_ways(certified(), "bad-certificate", "stands for no realm")

    async def test_wildcard(self) -> None:
        shown = certified("*.example.org", "realm2")
        await self.refused_both_ways(shown, "bad-certificate", "stands for no realm")

    async def test_ones_own_name(self) -> None:
        """Another realm with the name of this one."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        stranger = await self.knock(one, TLSOptions(certified("Realm1")))
        await stranger.lost
        self.assertEqual(stranger.answers, ["own-realm"])
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_wrong_name(self) -> None:
        """A realm other than the one that was dialled."""
        one, two = self.make("realm1"), self.make("realm2")
        ana = await self.person(one, "ana")
        reply = await self.add(ana, two.port, "realm9")
        self.assertEqual(reply["code"], "wrong-realm")
        self.assertIn(f"The realm at 127.0.0.1:{two.port} is realm2, not realm9", reply["message"])
        self.assertIn("add it under its own name", reply["message"])
        await until(lambda: not one.links and not two.links)
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_another_name_in_hello(self) -> None:
        """A realm can't claim another name than its certificate has."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        stranger = await self.knock(
            one, TLSOptions(certified("realm3")), UnauthenticatedPeer("realm2")
        )
        await stranger.lost
        self.assertEqual(stranger.answers, [])
        refused = [box[b"_error_description"] for box in stranger.told]
        self.assertTrue(any(each.startswith(b'["wrong-name"') for each in refused), refused)
        self.assertEqual(await self.known(ana), [])
        there = UnauthenticatedPeer("realm2", talks=False)
        reply = await self.add(ana, self.listen(lambda: there, certified("realm3")), "realm3")
        self.assertEqual(reply["status"], "ERROR")
        self.assertEqual(await self.known(ana), [])

    async def test_no_certificate(self) -> None:
        one = self.make("realm1")
        stranger = await self.knock(one, Foreign(lambda _context: None))
        await stranger.lost
        self.assertEqual((stranger.told, self.processed(one)), ([], []))

    async def test_older_tls(self) -> None:
        one, shown = self.make("realm1"), self_signed("realm2")

        def prepare(context: SSL.Context) -> None:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.use_certificate(shown.certificate)
            context.use_privatekey(shown.private_key)

        stranger = await self.knock(one, Foreign(prepare))
        await stranger.lost
        self.assertEqual((stranger.told, self.processed(one)), ([], []))

    async def test_server_with_older_tls(self) -> None:
        """A server with only such a certificate is not accepted either."""
        one, shown = self.make("realm1"), self_signed("realm2")
        ana = await self.person(one, "ana")
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate(shown.certificate)
        context.use_privatekey(shown.private_key)
        with mock.patch.object(tls, "make_context", return_value=context):
            port = self.listen(lambda: UnauthenticatedPeer(talks=False), shown)
        reply = await self.add(ana, port)
        self.assertEqual(reply["code"], "realm-unreachable")
        self.assertIn("no realm's door for peers", reply["message"])

    async def test_plain_tcp(self) -> None:
        one = self.make("realm1")
        stranger = await self.knock(one, None)
        await stranger.lost
        self.assertEqual((stranger.told, self.processed(one)), ([], []))


class Pins(TLSTestCase):
    """`trust = pinned`: the first certificate must be shown from then on."""

    def setUp(self) -> None:
        super().setUp()
        self.make("realm1")
        self.make("realm2")

    async def with_new_key(self) -> TLSRealm:
        """Set up realm2 anew: another key, the same name."""
        two = self.realms["realm2"]
        await self.close(two)
        for name in ("realm.key", "realm.pem"):
            (two.config.state / name).unlink()
        return await self.reopen(two)

    async def refused(self, ana: Person) -> str:
        info: dict[str, Any] = {}
        while "certificate" not in (info.get("error") or ""):
            await sleep(0.01)
            info = await ana.realm_info("realm2")
        self.assertIn(info["state"], ("down", "connecting"))
        sentence: str = info["error"]
        return sentence

    async def test_another_key(self) -> None:
        """It is refused, and `realms` and the log say what happened and what to do. Messages wait meanwhile;
        after delrealm and addrealm the new certificate is accepted, and everything arrives."""
        ana, budi = await self.pair()
        one, old = self.realms["realm1"], kept(self.realms["realm2"])
        two = await self.with_new_key()
        self.boxes.clear()
        sentence = await self.refused(ana)
        for part in (kept(two).fingerprint, old.fingerprint, "delrealm realm2", "impersonating"):
            self.assertIn(part, sentence)
        self.assertIn(sentence, "\n".join(self.warned))
        self.assertEqual(self.processed(one), [])
        reply = await ana.must("send", to="budi@realm2", text="siapa?")
        self.assertEqual(reply["state"], "queued")
        again = await self.add(ana, two.port)
        self.assertEqual(again["code"], "realm-exists")
        reply = await ana.must("delrealm", realm="realm2")
        self.assertEqual(reply["queued"], 1)
        self.assertEqual((await self.add(ana, two.port))["status"], "OK")
        budi = await self.person(two, "budi")
        self.assertEqual(await budi.gets(1), ["siapa?"])
        # And now the one that was right before is not.
        stranger = await self.knock(one, TLSOptions(old))
        await stranger.lost
        self.assertEqual(stranger.answers, ["certificate-changed"])

    async def test_another_key_comes_in(self) -> None:
        """As above, with the other side dialling: it is told nothing of what is remembered, and `realms` here
        says why it is down."""
        two, one = self.realms["realm2"], self.realms["realm1"]
        ana, budi = await self.person(one, "ana"), await self.person(two, "budi")
        reply = await budi.must("addrealm", realm="realm1", host="127.0.0.1", port=one.port)
        await until(lambda: one.directory.peers.by_key["realm2"].link)
        two = await self.with_new_key()
        budi = await self.person(two, "budi")
        sentence = await self.refused(ana)
        self.assertIn(kept(two).fingerprint, sentence)
        info: dict[str, Any] = {}
        while not info.get("error"):
            await sleep(0.01)
            info = await budi.realm_info("realm1")
        self.assertIn("does not trust the certificate", info["error"])
        self.assertNotIn("sha256", info["error"])
        # It is forgotten here, and believed again when it comes the next time.
        await ana.must("delrealm", realm="realm2")
        reply = await budi.must("send", to="ana@realm1", text="saya")
        self.assertEqual(await ana.gets(1), ["saya"], reply)

    async def test_added_by_an_operator(self) -> None:
        """A realm that linked by itself is refused once an operator adds another under that name."""
        two, one = self.realms["realm2"], self.realms["realm1"]
        budi = await self.person(two, "budi")
        await budi.must("addrealm", realm="realm1", host="127.0.0.1", port=one.port)
        old = kept(two).fingerprint
        two = await self.with_new_key()
        added = await one.directory.add("realm2", "127.0.0.1", two.port, True)
        self.assertEqual((added.fingerprint, added.replaced), (kept(two).fingerprint, old))

    async def test_not_added_by_anybody_else(self) -> None:
        two, one = self.realms["realm2"], self.realms["realm1"]
        budi = await self.person(two, "budi")
        await budi.must("addrealm", realm="realm1", host="127.0.0.1", port=one.port)
        two = await self.with_new_key()
        with self.assertRaises(RealmUnreachable):
            await one.directory.add("realm2", "127.0.0.1", two.port, False)

    async def test_rotation(self) -> None:
        """A new key that the old one has signed is accepted and remembered; the old one is refused then."""
        ana, budi = await self.pair()
        one, two, old = self.realms["realm1"], self.realms["realm2"], kept(self.realms["realm2"])
        await self.close(two)
        new = rotate(two.config.state, PeersConfig(), datetime.now(UTC))
        two = await self.reopen(two)
        self.assertEqual(kept(two).fingerprint, new.fingerprint)
        budi = await self.person(two, "budi")
        await ana.must("send", to="budi@realm2", text="halo")
        self.assertEqual(await budi.gets(1), ["halo"])
        self.assertEqual([line for line in self.warned if "certificate" in line], [])
        one = await self.reopen(one)
        await until(lambda: one.directory.peers.by_key["realm2"].link)
        self.boxes.clear()
        stranger = await self.knock(one, TLSOptions(old))
        await stranger.lost
        self.assertEqual(stranger.answers, ["certificate-changed"])
        self.assertEqual(
            [box[b"_command"] for box in self.processed(one) if b"_command" in box], []
        )

    async def test_pin_outlives_a_restart(self) -> None:
        await self.pair()
        one, two = self.realms["realm1"], self.realms["realm2"]
        await self.close(one)
        await self.with_new_key()
        one = await self.reopen(one)
        ana = await self.person(one, "ana")
        self.assertIn("delrealm realm2", await self.refused(ana))
        self.assertEqual(two.config.realm, "realm2")


class Fingerprints(TLSTestCase):
    """`[peer realm2] fingerprint`"""

    def known(self, fingerprint: str, address: str | None = None) -> dict[str, PeerConfig]:  # type: ignore[override]
        return {"realm2": PeerConfig(address, fingerprint)}

    async def test_right(self) -> None:
        two = self.make("realm2")
        address = f"127.0.0.1:{two.port}"
        one = self.make("realm1", known=self.known(kept(two).fingerprint, address), trust="known")
        ana = await self.person(one, "ana")
        await self.person(two, "budi")
        await until(lambda: one.directory.peers.by_key["realm2"].link)
        await ana.must("send", to="budi@realm2", text="halo")

    async def test_wrong(self) -> None:
        """It overrides the remembered certificate, and delrealm does not remove it."""
        one, two = self.make("realm1"), self.make("realm2")
        await self.pair()
        right = kept(two).fingerprint
        one = await self.reopen(one, known=self.known("sha256:" + "0" * 64))
        ana = await self.person(one, "ana")
        await until(lambda: self.warned)
        info = await ana.realm_info("realm2")
        self.assertIn("0000", info["error"])
        await ana.must("delrealm", realm="realm2")
        reply = await self.add(ana, two.port)
        self.assertEqual(reply["code"], "certificate-changed")
        self.assertIn(right, reply["message"])
        one = await self.reopen(one, known=self.known(right))
        ana = await self.person(one, "ana")
        self.assertEqual((await self.add(ana, two.port))["status"], "OK")


class Trust(TLSTestCase):
    """Which realms the operator lets in."""

    async def test_known(self) -> None:
        """Unknown realms are told why they are not let in, and are dialled again: once each has added the
        other, they are linked."""
        one, two = self.make("realm1", trust="known"), self.make("realm2", trust="known")
        ana, budi = await self.person(one, "ana"), await self.person(two, "budi")
        reply = await self.add(ana, two.port)
        self.assertEqual(reply["code"], "realm-not-allowed")
        self.assertIn("only realms that were added there may", reply["message"])
        self.assertEqual(self.processed(two), [])
        reply = await self.add(budi, one.port, "realm1")
        self.assertEqual(reply["status"], "OK", reply)
        await ana.must("send", to="budi@realm2", text="halo")
        self.assertEqual(await budi.gets(1), ["halo"])

    async def test_known_refuses_strangers(self) -> None:
        one = self.make("realm1", trust="known")
        ana = await self.person(one, "ana")
        stranger = await self.knock(one, TLSOptions(certified("realm2")))
        await stranger.lost
        self.assertEqual(stranger.answers, ["realm-not-allowed"])
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_blocked(self) -> None:
        one = self.make("realm1", block=frozenset({"realm2"}))
        two = self.make("realm2")
        ana, budi = await self.person(one, "ana"), await self.person(two, "budi")
        reply = await self.add(ana, two.port)
        self.assertEqual(reply["code"], "realm-not-allowed")
        self.assertIn("block names it", reply["message"])
        reply = await self.add(budi, one.port, "realm1")
        self.assertEqual(reply["code"], "realm-not-allowed")
        self.assertIn("it is blocked there", reply["message"])
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_blocked_after_all(self) -> None:
        """A blocked peer is not dialled and not let in."""
        self.make("realm1")
        two = self.make("realm2")
        ana, budi = await self.pair()
        await self.add(budi, self.realms["realm1"].port, "realm1")
        one = await self.reopen(self.realms["realm1"], block=frozenset({"realm2"}))
        ana = await self.person(one, "ana")
        self.boxes.clear()
        await until(lambda: len(self.warned) > 2)
        self.assertEqual(self.processed(one), [])
        self.assertIn("blocked", (await ana.realm_info("realm2"))["error"])
        reply = await budi.must("send", to="ana@realm1", text="halo")
        self.assertEqual(reply["state"], "queued")
        self.assertEqual(await ana.texts(), [])
        await self.close(two)

    def issue(self, authority: trustme.CA, name: str) -> dict[str, Any]:
        """Write a certificate and a key from an authority, for [peers]."""
        issued = authority.issue_cert(name)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return {"certificate": certificate, "private_key": key}

    async def test_ca(self) -> None:
        """Realms with certificates of the authority are let in; self-signed ones and those of another
        authority are not."""
        authority, other = trustme.CA(), trustme.CA()
        file = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        one = self.make("realm1", trust="ca", ca_file=file, **self.issue(authority, "realm1"))
        two = self.make("realm2", trust="ca", ca_file=file, **self.issue(authority, "realm2"))
        three = self.make("realm3")
        four = self.make("realm4", **self.issue(other, "realm4"))
        ana, budi = await self.pair()
        await ana.must("send", to="budi@realm2", text="halo")
        self.assertEqual(await budi.gets(1), ["halo"])
        self.boxes.clear()
        for stranger in (three, four):
            name = stranger.config.realm
            reply = await self.add(ana, stranger.port, name)
            self.assertEqual(reply["code"], "bad-certificate", reply)
            self.assertIn("no authority of the ca_file", reply["message"])
            person = await self.person(stranger, "citra")
            reply = await self.add(person, one.port, "realm1")
            self.assertEqual(reply["code"], "realm-not-allowed", reply)
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), ["realm2"])
        # A new certificate from the same authority needs nothing more.
        await self.close(two)
        two = await self.reopen(two, **self.issue(authority, "realm2"))
        budi = await self.person(two, "budi")
        await ana.must("send", to="budi@realm2", text="lagi")
        self.assertEqual(await budi.gets(1), ["lagi"])
