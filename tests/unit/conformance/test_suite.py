"""The suite itself: its checks, their outcomes, and the control program."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatd.conformance.bench import Bench, CheckFailed, CheckSkipped, refused, require
from chatd.conformance.boxes import BoxBuffer, decode_texts, encode_box, encode_texts
from chatd.conformance.chatd_control import main as control_main
from chatd.conformance.command import NO_LINK, chosen, main, parser
from chatd.conformance.control import Control, ControlProgram
from chatd.conformance.links import LinkEnded, NoAnswer, RefusedThere, refusal_in
from chatd.conformance.names import dns_name
from chatd.conformance.realms import HelloAnswer, RealmDoor
from chatd.conformance.refusals import DETAILS, wrong_details
from chatd.conformance.report import line_of, succeeded, summary
from chatd.conformance.signatures import Signer, merkle, read_entry, root_of, signed
from chatd.conformance.signatures import UnsignedEntry as Unsigned
from chatd.conformance.suite import CHECKS, SECTIONS, Check, CheckOutcome, CheckResult, run
from chatd.federation.refusals import _REFUSALS
from tests.support.ports import free_port

DOCUMENT = Path(__file__).parents[3] / "docs" / "federation.md"
PROGRAM = """
import json, sys
for line in sys.stdin:
    do = json.loads(line)["do"]
    if do == "restart":
        break
    known = do == "send"
    print(json.dumps({"ok": known} if known else {"ok": False, "code": "unsupported"}), flush=True)
"""


class Checks(SynchronousTestCase):
    def test_sections(self) -> None:
        """Each check names a heading of the document, in its order."""
        headings = re.findall(r"^#+ (.*)$", DOCUMENT.read_text(), re.MULTILINE)
        plain = [heading.replace("`", "") for heading in headings]
        self.assertEqual([each for each in plain if each in SECTIONS], list(SECTIONS))
        self.assertEqual({each.section for each in CHECKS} - {*SECTIONS}, set())

    def test_titles(self) -> None:
        titles = [(each.section, each.title) for each in CHECKS]
        self.assertEqual(len({*titles}), len(titles))

    def test_details(self) -> None:
        """The suite, the document and chatd agree on the details of refusals."""
        table = DOCUMENT.read_text().partition("| details | codes |")[2].partition("\n\n")[0]
        documented = {}
        for row in table.splitlines()[2:]:
            _, names, codes, _ = row.split("|")
            for code in re.findall(r"`([^`]+)`", codes):
                documented[code] = tuple(re.findall(r"`([^`]+)`", names))
        self.assertEqual(documented, DETAILS)
        own = {
            code: tuple(name.rstrip("@") for name in names)
            for code, (_, names) in _REFUSALS.items()
            if code not in ("text-refused", "unknown-there")  # these never cross
        }
        self.assertEqual(own, DETAILS)
        self.assertEqual(wrong_details("busy", {}), "")
        self.assertEqual(
            wrong_details("not-yours", {"seq": 1}), "the details of not-yours lack who"
        )

    def test_options(self) -> None:
        """The page has every option of the suite."""
        page = DOCUMENT.with_name("conformance.md").read_text()
        documented = re.findall(r"^\| `(--[a-z]+)", page, re.MULTILINE)
        known = [name for each in parser()._actions for name in each.option_strings]
        self.assertEqual({*documented}, {*known} - {"-h", "--help"})

    def test_chosen(self) -> None:
        self.assertEqual(len(chosen("")), len(CHECKS))
        self.assertEqual({each.section for each in chosen("hello |")}, {"Hello"})


class Outcomes(SynchronousTestCase):
    def bench(self) -> Bench:
        folder = Path(self.mktemp())
        folder.mkdir()
        bench = Bench(RealmDoor("127.0.0.1", free_port(), 1.0), folder, "t")
        bench.said = HelloAnswer("there", 2, ["lines"], b"x", [])
        return bench

    def result(self, error: Exception | None, *needs: str) -> tuple[str, str]:
        def work(bench: Bench) -> None:
            if error is not None:
                raise error

        checked = Check("Hello", "it works", needs, work)
        (result,) = run(self.bench(), [checked])
        return result.outcome.value, result.reason

    def test_outcomes(self) -> None:
        self.assertEqual(self.result(None), ("pass", ""))
        self.assertEqual(self.result(None, "lines"), ("pass", ""))
        for error in (CheckFailed("why"), NoAnswer("why"), LinkEnded("why")):
            self.assertEqual(self.result(error), ("fail", "why"))
        self.assertEqual(self.result(CheckSkipped("why")), ("skipped", "why"))
        said = self.result(RefusedThere("busy", {}))
        self.assertEqual(said, ("fail", "a request is refused with busy"))
        self.assertEqual(self.result(KeyError("x")), ("fail", "KeyError: 'x'"))

    def test_needs(self) -> None:
        self.assertEqual(self.result(None, "user"), ("skipped", "there is no --user"))
        said = self.result(None, "groups")
        self.assertEqual(said, ("skipped", "the realm does not announce groups"))

    def test_report(self) -> None:
        checked = Check("Hello", "it works", (), lambda bench: None)
        passed = CheckResult(checked, CheckOutcome.PASSED, "", 0.1)
        failed = CheckResult(checked, CheckOutcome.FAILED, "why", 0.1)
        skipped = CheckResult(checked, CheckOutcome.SKIPPED, "no", 0.1)
        self.assertEqual(line_of(failed), "fail    Hello | it works: why")
        self.assertEqual(summary([passed, failed, passed]), "2 passed, 1 failed, 0 skipped")
        self.assertTrue(succeeded([passed, skipped]))
        self.assertFalse(succeeded([passed, failed]))
        self.assertFalse(succeeded([skipped]))

    def test_no_realm(self) -> None:
        """Nobody listens there."""
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        self.assertEqual(main(["127.0.0.1", str(free_port())], out=io.StringIO()), NO_LINK)
        self.assertIn("There is no link with 127.0.0.1", errors.getvalue())

    def test_expectations(self) -> None:
        with self.assertRaises(CheckFailed):
            require(False, "why")
        with refused("busy"):
            self.refuse("busy")
        with self.assertRaises(CheckFailed), refused("busy"):
            self.refuse("other")
        with self.assertRaises(CheckFailed), refused("busy"):
            self.refuse("")

    def refuse(self, code: str) -> None:
        if code:
            raise RefusedThere(code, {})

    def test_control(self) -> None:
        """A program of its own acts. It may not know a request, fail, or end."""
        path = Path(self.mktemp())
        path.write_text(PROGRAM)
        bench = self.bench()
        bench.control = Control(ControlProgram(f"{sys.executable} {path}"))
        self.addCleanup(bench.control.close)
        self.assertEqual(bench.act(None, "send", to="x"), {"ok": True})
        with self.assertRaises(CheckSkipped):
            bench.act(None, "dance")
        with self.assertRaises(OSError):
            bench.act(None, "restart")


class ChatdControl(SynchronousTestCase):
    def test_no_chatd(self) -> None:
        """What it does not know needs no chatd. Without --restart, it can't restart chatd."""
        answers = io.StringIO()
        requests = [{"do": "dance"}, {"do": "restart"}, {"do": "send", "to": "x"}]
        lines = io.StringIO("".join(json.dumps(each) + "\n" for each in requests))
        control_main(["127.0.0.1", str(free_port()), "ana", "secret"], lines, answers)
        found = [json.loads(line) for line in answers.getvalue().splitlines()]
        self.assertEqual(found, [{"ok": False, "code": "unsupported"}] * 3)


class Encodings(SynchronousTestCase):
    def test_boxes(self) -> None:
        buffer, box = BoxBuffer(), {"_ask": b"1", "x": b""}
        data = encode_box(box) * 2
        for at in range(len(data)):
            buffer.add(data[at : at + 1])
            self.assertEqual(buffer.take(), box if at + 1 in (len(data) // 2, len(data)) else None)
        for bad in (b"\0\0", b"\x01\x00"):
            wrong = BoxBuffer()
            wrong.add(bad)
            with self.assertRaises(ValueError):
                wrong.take()

    def test_texts(self) -> None:
        self.assertEqual(decode_texts(encode_texts(["satu", "", "dua"])), ["satu", "", "dua"])
        with self.assertRaises(ValueError):
            decode_texts(b"\0\x05abc")

    def test_errors(self) -> None:
        def code(**box: bytes) -> str:
            return refusal_in({f"_error_{key}": value for key, value in box.items()}).code

        self.assertEqual(code(code=b"REFUSED", description=b'["busy", {}]'), "busy")
        self.assertEqual(code(code=b"UNKNOWN"), "UNKNOWN")
        for bad in (b"busy", b'"busy"', b"{}"):
            self.assertIn("no JSON array", code(code=b"REFUSED", description=bad))

    def test_names(self) -> None:
        self.assertEqual(dns_name("Chat.Example.ORG"), "chat.example.org")
        self.assertEqual(dns_name("a_b"), "615f62.x.invalid")
        self.assertEqual(dns_name("10.0.0.1"), "31302e302e302e31.x.invalid")

    def test_merkle(self) -> None:
        """Every statement of batches of all sizes leads to the root, and no other does."""
        for count in range(1, 18):
            statements = [b"%d" % each for each in range(count)]
            root, paths = merkle(statements)
            for index, statement in enumerate(statements):
                self.assertEqual(root_of(statement, index, count, paths[index]), root)
                self.assertNotEqual(root_of(b"x", index, count, paths[index]), root)
            self.assertIsNone(root_of(b"0", count, count, paths[0]))
            self.assertIsNone(root_of(b"0", 0, count, paths[0] + bytes(32)))

    def test_vectors(self) -> None:
        """The entries of the document verify."""
        text = DOCUMENT.read_text().partition("### Test vectors")[2].partition("\n## ")[0]
        found: dict[str, list[bytes]] = {}
        name = ""
        for line in text.splitlines():
            if line.startswith("        "):
                found[name][-1] += bytes.fromhex(line.strip())
            elif line.startswith("    "):
                name = line.strip().partition(" of ")[0].partition(",")[0]
                found.setdefault(name, []).append(b"")
        (key,), (root,), (signature,) = found["public key"], found["root"], found["signature"]
        statements, paths = found["statement"], found["audit path"]
        self.assertEqual(merkle(statements), (root, paths))
        bodies = [b"Halo semua", b"", b""]
        for index, body in enumerate(bodies):
            proof = [found["id"][0], index, 3, paths[index], signature]
            entry = [statements[index], proof, bytes(range(16)), found["attributes"][index], body]
            self.assertEqual(read_entry(entry, [[key, 0, None]]).author, "messi")

    def test_wrong_entries(self) -> None:
        signer, other = Signer(bytes(32)), Signer(bytes(31) + b"x")
        unsigned = Unsigned("a", 1, "b", 2, "ana", ["deleted"], b"")
        keys = [signer.announced]
        (entry,) = signed([unsigned], signer)
        self.assertEqual(read_entry(entry, keys).kind, "deleted")
        wrong: list[Any] = [
            [*entry[:4], b"more"],
            [b"\xc1", *entry[1:]],
            signed([unsigned], other)[0],
            [entry[0], [*entry[1][:4], bytes(64)], *entry[2:]],
            [entry[0], [*entry[1][:3], bytes(32), entry[1][4]], *entry[2:]],
        ]
        for each in wrong:
            with self.assertRaises(ValueError):
                read_entry(each, keys)
