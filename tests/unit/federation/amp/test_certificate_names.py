"""The DNS names of realms in certificates."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import example, given
from hypothesis import strategies as st
from service_identity.hazmat import DNS_ID, DNSPattern
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config_file import load_config
from chatd.base.config_values import realm_name
from chatd.base.names import key_of
from chatd.federation.amp.trust import (
    SUFFIX,
    dns_id,
    fingerprint,
    realm_named,
    realm_of,
)
from tests.support.realm_certificates import (
    AS_DIGITS,
    AS_THEY_ARE,
    make,
)


def _is_name(text: str) -> bool:
    """Whether this is a valid name of a realm."""
    try:
        realm_name(text)
    except ValueError:
        return False
    return True


names = st.text(
    st.one_of(st.sampled_from("aZ09._-ßİǰΐﬃ"), st.characters(categories=("L", "Nl", "Nd", "No"))),
    min_size=1,
    max_size=64,
).filter(_is_name)
ascii_names = st.text(st.sampled_from("abzABZ0123456789._-x"), min_size=1, max_size=64)


class Names(SynchronousTestCase):
    def test_host_names_stay(self) -> None:
        for name in AS_THEY_ARE:
            self.assertEqual(dns_id(name), name)
        self.assertEqual(dns_id("Chat.Example.ORG"), "chat.example.org")

    def test_others_become_digits(self) -> None:
        for name in AS_DIGITS:
            self.assertTrue(dns_id(name).endswith(SUFFIX), name)
        self.assertEqual(dns_id("7"), "37.x.invalid")
        self.assertEqual(dns_id("Bücher"), "62c3bc63686572.x.invalid")

    def test_every_label_is_one(self) -> None:
        for name in AS_THEY_ARE + AS_DIGITS:
            self.assertTrue(all(0 < len(label) < 64 for label in dns_id(name).split(".")), name)

    def test_both_ways(self) -> None:
        for name in AS_THEY_ARE + AS_DIGITS:
            self.assertEqual(realm_named(dns_id(name)), key_of(name))
            self.assertEqual(realm_of(make(dns_id(name))), key_of(name))

    @given(st.one_of(names, ascii_names))
    @example("İ.")
    @example("0x7f.1")
    def test_any_name(self, name: str) -> None:
        """Each name is decoded to its key, and service_identity reads it as a DNS name and not as an IP
        address."""
        written = dns_id(name)
        self.assertEqual(dns_id(key_of(name)), written)
        self.assertEqual(realm_named(written), key_of(name))
        self.assertTrue(DNS_ID(written).verify(DNSPattern.from_bytes(written.encode())))

    @given(st.one_of(names, ascii_names), st.one_of(names, ascii_names))
    @example("6131.x.invalid", "a1")
    @example("bücher", "xn--bcher-kva")
    def test_no_two_share_one(self, one: str, other: str) -> None:
        self.assertEqual(dns_id(one) == dns_id(other), key_of(one) == key_of(other))
        matched = DNS_ID(dns_id(one)).verify(DNSPattern.from_bytes(dns_id(other).encode()))
        self.assertEqual(matched, key_of(one) == key_of(other))

    @given(st.one_of(st.text(), st.from_regex(r"[0-9a-f.]{0,80}\.x\.invalid", fullmatch=True)))
    def test_only_those(self, name: str) -> None:
        """Every DNS name that is decoded to a realm is encoded to the same name."""
        realm = realm_named(name)
        if realm is not None:
            self.assertEqual(dns_id(realm), name.lower())

    def test_none_of_ours(self) -> None:
        for name in (
            "",
            "*.example.org",
            "a*.example.org",
            "a b",
            "1.2.3.4",
            "12",
            "a_b.example",
            "example.org.",
            ".x.invalid",
            "zz.x.invalid",
            "ff.x.invalid",  # not UTF-8
            "61.x.invalid",  # `a` has a simpler one
            "41.x.invalid",  # `A` is no key
            "5f.5f.x.invalid",  # `__` is cut up in another way
            "1b5b324a.x.invalid",  # it would clear the terminal
            "612c62.x.invalid",  # `a,b` is no name
            f"{'a' * 32}.{'b' * 32}",  # longer than a name
            dns_id("_") * 2,
            "a" * 200,
            "5f" * 31 + "." + ("5f" * 31 + ".") * 6 + "x.invalid",
        ):
            self.assertIsNone(realm_named(name), name)

    def test_on_certificates(self) -> None:
        """Only the first DNS name counts."""
        self.assertEqual(realm_of(make("Realm1", "realm2")), "realm1")
        self.assertEqual(realm_of(make("realm1", "*.example.org")), "realm1")
        san = [
            x509.UniformResourceIdentifier("http://realm3:80/"),
            x509.IPAddress(ip_address("127.0.0.1")),
            x509.DNSName("realm1"),
        ]
        self.assertEqual(realm_of(make(san=san)), "realm1")
        self.assertIsNone(realm_of(make(subject="realm1")))
        self.assertIsNone(realm_of(make("*.example.org", "realm1")))
        self.assertIsNone(realm_of(make("172.16.16.102")))
        self.assertIsNone(realm_of(make(san=san[:2])))

    def test_fingerprint(self) -> None:
        """A fingerprint in another spelling is normalized to this form by the configuration."""
        certificate = make("realm2")
        path = Path(self.mktemp())
        digits = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        path.write_text(f"[peer realm2]\nfingerprint = {digits}\n")
        self.assertEqual(
            load_config(path).peers.known["realm2"].fingerprint, fingerprint(certificate)
        )
