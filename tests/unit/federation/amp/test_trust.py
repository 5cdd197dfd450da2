"""Which certificates are accepted: names, pins, signatures and authorities."""

from __future__ import annotations

import itertools
import ssl
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config import PeersConfig
from chatd.base.errors import (
    BadCertificate,
    CertificateChanged,
    ChatError,
    OwnRealm,
    RealmNotAllowed,
    WrongRealm,
)
from chatd.federation.amp import identity_files
from chatd.federation.amp.identity import IdentityError, RealmIdentity
from chatd.federation.amp.identity_files import load_identity, read_policy, web_flaw
from chatd.federation.amp.trust import (
    Authentication,
    Policy,
    TrustRecord,
    authenticate,
    dns_id,
    fingerprint,
)
from tests.support.public_authority import PublicAuthority
from tests.support.realm_certificates import (
    DAY,
    KEY,
    NOW,
    OURS,
    make,
    new_key,
    pem,
    pinned_to,
    remembers,
)


class JudgeTestCase(SynchronousTestCase):
    policy = Policy("Realm1")

    def authenticate(
        self,
        *chain: x509.Certificate,
        known: TrustRecord | None = None,
        now: datetime = NOW,
        **kw: Any,
    ) -> Authentication:
        self.asked: list[str] = []

        def known_of(realm: str) -> TrustRecord:
            self.asked.append(realm)
            return known or TrustRecord()

        kw = {"policy": self.policy, "address": "172.16.16.102:8890", **kw}
        return authenticate(chain, now, known_of=known_of, **kw)

    def refused(self, kind: type[ChatError], *chain: x509.Certificate, **kw: Any) -> str:
        return str(self.assertRaises(kind, self.authenticate, *chain, **kw))


class Judging(JudgeTestCase):
    def test_first_contact(self) -> None:
        leaf = make("Realm2")
        judged = self.authenticate(leaf)
        self.assertEqual(judged, Authentication("realm2", leaf, True))
        self.assertEqual(self.asked, ["realm2"])
        self.assertFalse(
            self.authenticate(leaf, known=TrustRecord(certificate=judged.pem)).remember
        )

    def test_nothing_shown(self) -> None:
        text = self.refused(BadCertificate)
        self.assertIn("of the realm at 172.16.16.102:8890 is not valid: it showed none", text)

    def test_out_of_date(self) -> None:
        text = self.refused(BadCertificate, make("realm2", end=NOW - DAY / 2))
        self.assertIn("of realm2 is not valid: it ended on 2026-11-19 22:15 UTC", text)
        text = self.refused(BadCertificate, make("realm2", begin=NOW + DAY / 2))
        self.assertIn("it holds only from 2026-11-20 22:15 UTC on", text)
        self.authenticate(make("realm2", end=NOW))
        self.authenticate(make("realm2", begin=NOW))

    def test_names_none(self) -> None:
        for leaf in (make(subject="realm2"), make("*.example.org"), make("10.0.0.1"), make("a_b")):
            text = self.refused(BadCertificate, leaf, expected="realm2")
            self.assertIn("of realm2 is not valid: the first DNS name", text)
            self.assertEqual(self.asked, [])

    def test_expected(self) -> None:
        self.assertEqual(self.authenticate(make("realm2"), expected="Realm2").realm, "realm2")
        self.assertEqual(
            self.authenticate(make(dns_id("Bücher")), expected="bücher").realm, "bücher"
        )
        self.assertEqual(
            self.refused(WrongRealm, make("realm3", "realm2"), expected="Realm2"),
            "The realm at 172.16.16.102:8890 is realm3, not Realm2; add it under its own name",
        )

    def test_ourselves(self) -> None:
        self.assertIn("realm1 is this realm", self.refused(OwnRealm, make("realm1")))

    def test_blocked(self) -> None:
        policy = Policy("realm1", blocked=frozenset({"realm2"}))
        text = self.refused(RealmNotAllowed, make("realm2"), policy=policy)
        self.assertEqual(text, "realm2 may not connect to realm1: it is blocked there")
        self.authenticate(make("realm3"), policy=policy)

    def test_known_only(self) -> None:
        policy = Policy("realm1", "known")
        leaf = make("realm2")
        for known in (TrustRecord(), TrustRecord(certificate=pem(leaf).decode())):
            text = self.refused(RealmNotAllowed, leaf, policy=policy, known=known)
            self.assertEqual(
                text, "realm2 may not connect to realm1: only realms that were added there may"
            )
        self.assertTrue(
            self.authenticate(leaf, policy=policy, known=TrustRecord(added=True)).remember
        )
        self.assertFalse(self.authenticate(leaf, policy=policy, known=remembers(leaf)).remember)
        other = make("realm2", key=new_key())
        self.refused(CertificateChanged, other, policy=policy, known=remembers(leaf))

    def test_changed(self) -> None:
        """Another key is refused whatever the names are; a new certificate for the same key is accepted."""
        old, new = make("realm2"), make("realm2", key=new_key())
        text = self.refused(CertificateChanged, new, known=remembers(old))
        self.assertIn(f"({fingerprint(new)}) other than the remembered one", text)
        self.assertIn(f"({fingerprint(old)})", text)
        self.refused(CertificateChanged, new, old, known=remembers(old))
        self.assertTrue(self.authenticate(make("realm2"), known=remembers(old)).remember)

    def test_from_the_configuration(self) -> None:
        """It overrides the remembered certificate."""
        old, new = make("realm2"), make("realm2", key=new_key())
        self.assertTrue(self.authenticate(new, known=pinned_to(new)).remember)
        both = pinned_to(new, old)
        self.assertTrue(self.authenticate(new, known=both).remember)
        text = self.refused(CertificateChanged, old, known=both)
        self.assertIn(f"({fingerprint(new)})", text)
        settled = pinned_to(new, new)
        self.assertFalse(self.authenticate(new, known=settled).remember)


class SameKey(JudgeTestCase):
    """A certificate that was renewed by an authority, for the same key."""

    def test_renewed(self) -> None:
        key = new_key()
        first, _ = PublicAuthority(NOW).issue("realm2", key=key)
        second, _ = PublicAuthority(NOW).issue("realm2", key=key)
        self.assertEqual(
            self.authenticate(second, known=remembers(first)),
            Authentication("realm2", second, True),
        )
        self.assertFalse(self.authenticate(second, known=remembers(second)).remember)

    def test_another_key(self) -> None:
        authority = PublicAuthority(NOW)
        first, second = (authority.issue("realm2")[0] for _ in range(2))
        self.refused(CertificateChanged, second, known=remembers(first))


class Vouchers(JudgeTestCase):
    """A renewed certificate is accepted only if the pinned one has signed it."""

    def setUp(self) -> None:
        self.keys = [new_key() for _ in range(3)]
        self.line = [make("realm2", key=self.keys[0])]
        for old, key in itertools.pairwise(self.keys):
            ended = {"begin": NOW - 9 * DAY, "end": NOW - 8 * DAY} if key is self.keys[1] else {}
            self.line.append(
                make("realm2", key=key, issuer=self.line[-1], signer=old, **ended)  # type: ignore[arg-type]
            )

    def test_twice(self) -> None:
        first, second, third = self.line
        for chain in ((third, second, first), (third, first, second), (third, second)):
            self.assertTrue(self.authenticate(*chain, known=remembers(first)).remember)
        self.assertTrue(self.authenticate(third, known=remembers(second)).remember)

    def test_gap(self) -> None:
        first, _second, third = self.line
        self.refused(CertificateChanged, third, first, known=remembers(first))

    def test_by_fingerprint(self) -> None:
        """The certificate with the pinned fingerprint must be shown, because its key is not known
        otherwise."""
        first, second, third = self.line
        self.assertTrue(self.authenticate(third, second, first, known=pinned_to(first)).remember)
        self.refused(CertificateChanged, third, second, known=pinned_to(first))
        known = pinned_to(first, second)
        self.refused(CertificateChanged, third, second, known=known)

    def test_forged(self) -> None:
        """The issuer's name alone proves nothing, nor does a public certificate shown with it."""
        first = self.line[0]
        thief = new_key()
        own = make("realm2", key=thief)
        forged = make("realm2", key=thief, issuer=first)
        for known in (remembers(first), pinned_to(first)):
            for chain in ((own,), (forged,), (forged, first), (forged, own, first), (own, first)):
                self.refused(CertificateChanged, *chain, known=known)
        onward = make("realm2", key=new_key(), issuer=forged, signer=thief)
        self.refused(CertificateChanged, onward, forged, first, known=remembers(first))

    def test_other_realms_key(self) -> None:
        first = self.line[0]
        other = make("realm3", key=new_key())
        for known in (remembers(first), pinned_to(first)):
            self.refused(CertificateChanged, make("realm2", key=KEY), other, first, known=known)

    def test_pinned_ca(self) -> None:
        """Another customer of the same CA can't sign for this realm."""
        ca_key, thief = new_key(), new_key()
        ca = make(key=ca_key, subject="ca")
        honest = make("realm2", issuer=ca, signer=ca_key)
        self.assertTrue(self.authenticate(honest, ca, known=pinned_to(ca)).remember)
        his = make("evil.example", key=thief, issuer=ca, signer=ca_key, subject="evil")
        forged = make("realm2", key=new_key(), issuer=his, signer=thief)
        self.refused(CertificateChanged, forged, his, ca, known=pinned_to(ca))

    def test_loops(self) -> None:
        """Two certificates that issued each other are refused, and the search ends."""
        one_key, other_key = new_key(), new_key()
        one = make("realm2", key=one_key, signer=other_key)
        other = make("realm2", key=other_key, signer=one_key)
        chain = (one, other, one, other, other)
        self.refused(CertificateChanged, *chain, known=remembers(self.line[0]))
        self.assertTrue(self.authenticate(*chain, known=remembers(other)).remember)

    def test_bounded(self) -> None:
        """Certificates beyond a number are not checked."""
        first, second, third = self.line
        many = [make("realm2") for _ in range(20)]
        self.refused(CertificateChanged, third, *many, second, known=remembers(first))
        with mock.patch("chatd.federation.amp.trust._issued", return_value=False) as issued:
            self.refused(CertificateChanged, third, *many, known=remembers(first))
        self.assertLess(issued.call_count, 100)

    def test_keys_of_other_kinds(self) -> None:
        edwards, big = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
        for old_key, key in ((edwards, KEY), (KEY, edwards), (big, edwards), (edwards, big)):
            old = make("realm2", key=old_key)
            new = make("realm2", key=key, issuer=old, signer=old_key)
            self.assertTrue(self.authenticate(new, old, known=remembers(old)).remember)
            self.refused(CertificateChanged, make("realm2", key=key), known=remembers(old))


class Authorities(JudgeTestCase):
    def setUp(self) -> None:
        self.ca = trustme.CA()
        self.file = Path(self.mktemp())
        self.ca.cert_pem.write_to_path(self.file)
        self.policy = read_policy("realm1", PeersConfig(trust="ca", ca_file=self.file))

    def chain(self, ca: trustme.CA, *names: str, **kw: Any) -> list[x509.Certificate]:
        issued = ca.issue_cert(*names, **kw)
        return x509.load_pem_x509_certificates(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )

    def test_signed(self) -> None:
        judged = self.authenticate(*self.chain(self.ca, "realm2"))
        self.assertEqual(judged.realm, "realm2")
        self.assertFalse(judged.remember)

    def test_no_pin_needed(self) -> None:
        self.assertFalse(
            self.authenticate(
                *self.chain(self.ca, "realm2"), known=remembers(make("realm2"))
            ).remember
        )

    def test_fingerprint_holds_too(self) -> None:
        """A certificate in the configuration is trusted as it is."""
        chain = self.chain(self.ca, "realm2")
        self.assertFalse(self.authenticate(*chain, known=pinned_to(chain[0])).remember)
        self.refused(CertificateChanged, *chain, known=pinned_to(make("realm2")))

    def test_not_signed(self) -> None:
        for chain in ([make("realm2")], self.chain(trustme.CA(), "realm2")):
            text = self.refused(BadCertificate, *chain)
            self.assertIn("of realm2 is not valid: no authority of the ca_file", text)
            self.refused(BadCertificate, *chain, known=remembers(chain[0]))

    def test_by_way_of_another(self) -> None:
        child = self.ca.create_child_ca()
        leaf, between = self.chain(child, "realm2")
        self.authenticate(leaf, between)
        self.refused(BadCertificate, leaf)
        child.cert_pem.write_to_path(self.file)
        policy = read_policy("realm1", PeersConfig(trust="ca", ca_file=self.file))
        self.authenticate(leaf, policy=policy)

    def test_no_authority_itself(self) -> None:
        """A realm's certificate can't sign for others, whether a CA signed it or ca_file holds it."""
        issued = self.ca.issue_cert("realm2")
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        (its,) = x509.load_pem_x509_certificates(issued.cert_chain_pems[0].bytes())
        forged = make("realm3", issuer=its, signer=key)
        self.refused(BadCertificate, forged, its)
        state = Path(self.mktemp())
        state.mkdir()
        listed = load_identity("realm2", state, OURS, NOW)
        policy = Policy("realm1", "ca", (listed.certificate,))
        self.authenticate(listed.certificate, policy=policy)
        forged = make("realm3", issuer=listed.certificate, signer=listed.private_key)
        self.refused(BadCertificate, forged, listed.certificate, policy=policy)

    def test_time(self) -> None:
        """Authorities expire too, and the given time counts."""
        (authority,) = x509.load_pem_x509_certificates(self.file.read_bytes())
        old = make(subject="old", ca=True, begin=NOW - 900 * DAY, end=NOW - 800 * DAY)
        child = make("realm2", issuer=old, signer=KEY, begin=NOW - 900 * DAY)
        policy = Policy("realm1", "ca", (authority, old))
        self.authenticate(child, policy=policy, now=NOW - 850 * DAY)
        text = self.refused(BadCertificate, child, policy=policy)
        self.assertIn("certificate has expired", text)

    def test_name(self) -> None:
        self.refused(BadCertificate, *self.chain(self.ca, "*.example.org"))
        self.refused(WrongRealm, *self.chain(self.ca, "realm3"), expected="realm2")

    def test_policy(self) -> None:
        self.assertEqual(len(self.policy.authorities), 1)
        self.assertEqual(read_policy("realm1", PeersConfig()), Policy("realm1"))
        peers = PeersConfig(trust="ca", ca_file=self.file)
        self.file.write_text("nothing")
        error = self.assertRaises(IdentityError, read_policy, "realm1", peers)
        self.assertIn(f"[peers] ca_file is {self.file}, which holds no PEM", str(error))
        self.file.unlink()
        error = self.assertRaises(IdentityError, read_policy, "realm1", peers)
        self.assertIn("can't be read: No such file", str(error))


class WebAuthorities(JudgeTestCase):
    """`trust = web`: public authorities vouch for the names of realms."""

    realm = "kampus.example.net"

    def setUp(self) -> None:
        self.authority = PublicAuthority(NOW)
        self.file = self.authority.write_root(Path(self.mktemp()))
        self.policy = read_policy("realm1", PeersConfig(trust="web", ca_file=self.file))

    def test_issued(self) -> None:
        """Nothing is remembered, so a renewed certificate is accepted."""
        for _ in range(2):
            judged = self.authenticate(*self.authority.issue(self.realm))
            self.assertEqual((judged.realm, judged.remember), (self.realm, False))
        chain = self.authority.issue(self.realm)
        self.assertFalse(self.authenticate(*chain, known=remembers(make(self.realm))).remember)

    def test_other_names_after_it(self) -> None:
        chain = self.authority.issue(self.realm, "www.example.net")
        self.assertEqual(self.authenticate(*chain).realm, self.realm)
        chain = self.authority.issue("www.example.net", self.realm)
        self.refused(WrongRealm, *chain, expected=self.realm)

    def test_not_issued(self) -> None:
        leaf, between = self.authority.issue(self.realm)
        for chain in ([make(self.realm)], PublicAuthority(NOW).issue(self.realm), [leaf]):
            text = self.refused(BadCertificate, *chain)
            self.assertIn(f"no public authority has issued it for {self.realm}", text)
            self.refused(BadCertificate, *chain, known=remembers(chain[0]))
        self.authenticate(leaf, between)

    def test_for_another_purpose(self) -> None:
        """Authorities issue certificates for mail and code without checking names as they do for servers."""
        chain = self.authority.issue(self.realm, purpose=ExtendedKeyUsageOID.EMAIL_PROTECTION)
        self.refused(BadCertificate, *chain)

    def test_wildcard(self) -> None:
        self.refused(BadCertificate, *self.authority.issue("*.example.net"))

    def test_no_authority_itself(self) -> None:
        """A realm's certificate can't sign for others."""
        key = new_key()
        leaf, between = self.authority.issue(self.realm, key=key)
        forged = make("mail.example.net", issuer=leaf, signer=key)
        self.refused(BadCertificate, forged, leaf, between)

    def test_time(self) -> None:
        chain = self.authority.issue(self.realm)
        self.refused(BadCertificate, *chain, now=NOW + 91 * DAY)
        self.authenticate(*chain, now=NOW + 89 * DAY)

    def test_name_that_is_no_host(self) -> None:
        """A realm whose name can't be in the DNS has no certificate of a public authority."""
        name = dns_id("a_b" * 21)
        self.refused(BadCertificate, make(name))

    def test_fingerprint_holds_too(self) -> None:
        chain = self.authority.issue(self.realm)
        self.assertFalse(self.authenticate(*chain, known=pinned_to(chain[0])).remember)
        self.refused(CertificateChanged, *chain, known=pinned_to(make(self.realm)))

    def test_own(self) -> None:
        """The operator learns at the start that others will not accept the certificate."""
        key = new_key()
        chain = self.authority.issue(self.realm, key=key)
        self.assertIsNone(web_flaw(RealmIdentity(self.realm, key, chain), self.policy, NOW))
        alone = RealmIdentity(self.realm, key, chain[:1])
        self.assertIsNotNone(web_flaw(alone, self.policy, NOW))
        self.assertIn("no authority", str(web_flaw(alone, Policy("realm1", "web"), NOW)))

    def test_of_the_system(self) -> None:
        """Without ca_file, the system's authorities are trusted."""
        with mock.patch.dict("os.environ", {"SSL_CERT_FILE": str(self.file)}):
            policy = read_policy("realm1", PeersConfig(trust="web"))
        self.assertEqual(policy, self.policy)
        nothing = mock.Mock(cafile=None)
        self.patch(ssl, "get_default_verify_paths", lambda: nothing)
        self.patch(identity_files, "SYSTEM_FILES", ("/nowhere", str(self.file)))
        self.assertEqual(read_policy("realm1", PeersConfig(trust="web")), self.policy)
        self.patch(identity_files, "SYSTEM_FILES", ("/nowhere",))
        error = self.assertRaises(IdentityError, read_policy, "realm1", PeersConfig(trust="web"))
        self.assertIn("ca-certificates", str(error))
