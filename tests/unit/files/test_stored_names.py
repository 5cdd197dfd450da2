"""The names of stored files on disk: when they were sent, and what they are called."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from itertools import islice
from pathlib import Path
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import StoredFile
from chatd.base.errors import BadFileName
from chatd.files.file_names import MAX_ENDING, MAX_LATER, safe_name, stored_names
from chatd.files.folder import Uploads
from tests.support import ROOT
from tests.unit.files.cases import UploadsTestCase, noted, sha256

AT = 1_795_728_903_999  # 2026-11-26 21:35:03.999 UTC
MOST = 255  # bytes of a name, in most file systems


def names(name: str, number: int = 3) -> list[str]:
    return list(islice(stored_names(name, AT), number))


class Names(SynchronousTestCase):
    def test_names(self) -> None:
        for name, stored in (
            ("foto.jpg", "2026_11_26_21_35_03_foto.jpg"),
            ("foto saya  2.jpg", "2026_11_26_21_35_03_foto_saya__2.jpg"),
            ("a\u00a0b\u3000c", "2026_11_26_21_35_03_a_b_c"),
            ("é 世.tar.gz", "2026_11_26_21_35_03_é_世.tar.gz"),
        ):
            self.assertEqual(names(name)[0], stored)

    def test_later_seconds(self) -> None:
        """A name that is taken gets the next second that is free, within a minute."""
        seconds = [each[17:19] for each in names("foto.jpg", MAX_LATER)]
        self.assertEqual(seconds[:3], ["03", "04", "05"])
        self.assertEqual(len(set(seconds)), MAX_LATER)
        self.assertTrue(all(each.endswith("_foto.jpg") for each in names("foto.jpg", MAX_LATER)))

    def test_numbers(self) -> None:
        """The ending stays at the end."""
        for name, second, third in (
            ("foto.jpg", "foto_2.jpg", "foto_3.jpg"),
            ("foto", "foto_2", "foto_3"),
            ("a.b c.txt", "a.b_c_2.txt", "a.b_c_3.txt"),
            (f"a.{'x' * (MAX_ENDING + 1)}", f"a.{'x' * (MAX_ENDING + 1)}_2", None),
        ):
            found = names(name, MAX_LATER + 2)[MAX_LATER:]
            found = [each.removeprefix("2026_11_26_21_35_03_") for each in found]
            self.assertEqual(found[0], second)
            if third is not None:
                self.assertEqual(found[1], third)

    @given(st.text(st.characters(exclude_categories=()), max_size=600))
    @example("世" * 300 + ".jpg")
    @example("a" * 300 + "." + "\U0001f600" * MAX_ENDING)
    @example("a\u2003b. \u3000c")
    def test_any_name(self, name: str) -> None:
        """No path, no space, no control character, and no more bytes than a file system takes."""
        try:
            safe = safe_name(name)
        except BadFileName:
            return
        for stored in names(safe):
            self.assertLessEqual(len(stored.encode()), MOST)
            self.assertFalse(set("/\\\x00") & set(stored))
            self.assertEqual(stored.split(), [stored])
            self.assertFalse({"Cc", "Cs"} & {unicodedata.category(each) for each in stored})
            _, dot, ending = safe.rpartition(".")
            if dot and not ending.isspace() and 0 < len(ending) <= MAX_ENDING:
                self.assertTrue(stored.endswith("." + "_".join(ending.split())) or " " in ending)
        self.assertEqual(len(set(names(safe, MAX_LATER + 20))), MAX_LATER + 20)


class OnDisk(UploadsTestCase):
    async def store(self, data: bytes, name: str, sent_at: int | None = None) -> StoredFile:
        incoming = self.receive(len(data), name)
        incoming.write(data)
        return await incoming.finish(sent_at=sent_at)

    async def test_when_it_was_sent(self) -> None:
        """Files of other realms say when that was. All others are sent when they are complete."""
        stored = await self.store(b"x", "foto saya.jpg", AT)
        self.assertEqual(stored.stored, "2026_11_26_21_35_03_foto_saya.jpg")
        clock = Clock()
        clock.advance(AT / 1000)
        self.uploads._wall = clock.seconds
        stored = await self.store(b"y", "foto saya.jpg")
        self.assertEqual(stored.stored, "2026_11_26_21_35_04_foto_saya.jpg")

    async def test_one_second(self) -> None:
        """Files of one name that were sent in the same second get different names, and keep their bytes."""
        waiting = []
        for number in range(MAX_LATER + 5):
            incoming = self.receive(1, "a.txt")
            incoming.write(bytes([number]))
            waiting.append(incoming.finish(sent_at=AT))
        stored = [(await each).stored for each in waiting]
        self.assertEqual(set(stored), set(names("a.txt", MAX_LATER + 5)))
        for number, name in enumerate(stored):
            self.assertEqual((self.folder / name).read_bytes(), bytes([number]))

    async def test_another_file_has_the_number(self) -> None:
        for name in ("a_2.txt", *["a.txt"] * (MAX_LATER + 1)):
            last = await self.store(b"x", name, AT)
        self.assertEqual(last.stored, "2026_11_26_21_35_03_a_3.txt")

    async def test_decomposed_by_the_file_system(self) -> None:
        """Some file systems take names apart into letters and accents."""
        (self.folder / unicodedata.normalize("NFD", "é.txt")).write_bytes(b"x")
        self.assertEqual(self.uploads.clean({"é.txt"}), 0)
        self.assertEqual(self.uploads.clean({"e.txt"}), 1)

    async def test_set_aside_twice(self) -> None:
        """A file that is set aside replaces none that was set aside before."""
        for number in (b"1", b"2", b"3"):
            (self.folder / "a.txt").write_bytes(number)
            self.assertEqual(self.uploads.clean(()), 1)
        aside = sorted((self.folder / "unclaimed").iterdir())
        self.assertEqual([path.read_bytes() for path in aside], [b"1", b"2", b"3"])

    async def test_older_encoding(self) -> None:
        """A file that an older release named in another encoding is still found."""
        (self.folder / "é.txt").write_bytes(b"x")
        with mock.patch("os.fsdecode", lambda name: name.decode("latin-1")):
            file = await self.uploads.open(noted(StoredFile("é.txt", 1, sha256(b"x"), "")))
            self.assertEqual(await file.read(2), b"x")
            await file.close()


# A program that stores a file of one byte in a folder of its own, again and again: killed before its first
# system call, before its second, and so on, until it is not killed. It prints the name of the last file.
STORE = """
import os, signal, sys
from itertools import count
from pathlib import Path
from chatd.files.folder import Uploads
from chatd.files.partial_file import PartialFile

def store(folder, killed_at):
    calls = count(1)
    def counted(real):
        def call(*args, **options):
            if next(calls) == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)
        return call
    (folder / "incoming").mkdir(parents=True)
    uploads = Uploads(None, folder)
    part = PartialFile(folder / "incoming" / "1-1", "\\xe9 \\u4e16.txt", 1, uploads.keep)
    part.sent_at = 1_795_728_903_999
    for name in ("open", "close", "fsync", "replace", "rename"):
        setattr(os, name, counted(getattr(os, name)))
    print(ascii(part.complete([b"x"]).stored))

for killed_at in count(1):
    child = os.fork()
    if not child:
        store(Path(sys.argv[1]) / str(killed_at), killed_at)
        sys.exit()
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        break
"""
STORED = "2026_11_26_21_35_03_é_世.txt"
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


class InAnotherProcess(UploadsTestCase):
    def killed(self, **environment: str) -> list[Path]:
        """The folders of the killed processes, in the order of their steps, and of the one that survived."""
        done = subprocess.run(
            [sys.executable, "-c", STORE, str(self.folder / "killed")],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stdout, f"{STORED!a}\n")
        return sorted((self.folder / "killed").iterdir(), key=lambda folder: int(folder.name))

    def again(self, folder: Path, *known: str) -> Uploads:
        """The next start. Counts the files that it sets aside."""
        uploads = Uploads(reactor, folder)
        uploads.start()
        self.addCleanup(uploads.stop)
        self.moved = uploads.clean(known)
        return uploads

    def test_killed_at_any_moment(self) -> None:
        """A kill leaves either no file, or the complete file, which is set aside."""
        outcomes = []
        for folder in self.killed():
            self.again(folder)
            left = [path for path in folder.rglob("*") if path.is_file()]
            self.assertEqual(len(left), self.moved)
            for path in left:
                self.assertEqual(path, folder / "unclaimed" / STORED)
                self.assertEqual(path.read_bytes(), b"x")
            outcomes.append(self.moved)
        self.assertGreaterEqual(len(outcomes), 6)
        self.assertEqual({0, 1}, set(outcomes))
        self.assertEqual(outcomes, sorted(outcomes))

    async def test_other_encoding_of_names(self) -> None:
        """The name on disk is UTF-8 even if Python takes names of files for ASCII."""
        folder = self.killed(**ASCII)[-1]
        uploads = self.again(folder, STORED)
        self.assertEqual(self.moved, 0)
        file = await uploads.open(noted(StoredFile(STORED, 1, sha256(b"x"), "")))
        self.assertEqual(await file.read(2), b"x")
        await file.close()
