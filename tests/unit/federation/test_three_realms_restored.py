"""As test_three_realms_stateful, and realms are restored from backups of their whole state.

What no realm holds any more is lost. Everybody sees the same of all the rest, and nothing comes back whose
deletion a realm still knows.

`python -m tests.unit.federation.test_three_realms_restored --examples 200 --seed 1` runs more.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.base.model import Message
from tests import RANDOM_RUNS
from tests.support.troubled_realms import RestorableRealms, counts
from tests.unit.federation.test_three_realms_stateful import GROUP, PEOPLE, ThreeRealms, run


class RestoredRealms(RestorableRealms, ThreeRealms):
    @initialize(seed=st.integers(0, 1 << 32))
    def begin(self, seed: int) -> None:
        super().begin(seed)
        self.back_up_all()

    # Checks

    def seen_of(self, name: str, to: str, author: str | None = None) -> list[tuple[Any, ...]]:
        """What a reader sees of an author, or of all, in any order."""
        found = [
            self.seen(each)
            for each in self.shown(name, to)
            if (to != GROUP or each.seq) and author in (None, each.sender.partition("@")[0])
        ]
        texts = [text for _, text, *_ in found if text]
        assert len(set(texts)) == len(texts), f"{name} reads something twice: {texts}"
        return sorted(found, key=str)

    def seen(self, message: Message) -> tuple[Any, ...]:
        sender, text, deleted, edited, *rest = super().seen(message)
        return (sender, text, deleted, edited and not deleted, *rest)

    def check_group(self) -> None:
        """The home may have numbered again what it had lost."""
        read = {name: self.seen_of(name, GROUP) for name in PEOPLE}
        for name, found in read.items():
            assert found == read["ana"], f"{name} reads {found}, and not {read['ana']}"

    def check_directs(self) -> None:
        for name in PEOPLE:
            for other in PEOPLE:
                if name < other:
                    here, there = self.seen_of(name, other), self.seen_of(other, name)
                    assert here == there, f"{name} sees {here}, and {other} {there}"

    def check_refusals(self) -> None:
        """A person may do again what the realm has forgotten."""

    def check_files(self) -> None:
        """What is deleted everywhere is in no file."""
        shown = {
            (each.text or "").split(maxsplit=1)[0]
            for name in PEOPLE
            for to in (GROUP, *PEOPLE)
            if name != to
            for each in self.shown(name, to)
            if each.text
        }
        self.secrets = [
            (text, written) for text, written in self.secrets if text.split()[0] not in shown
        ]
        super().check_files()


class RestoredRealmsTestCase(SynchronousTestCase):
    def test_everything(self) -> None:
        run(RANDOM_RUNS // 4, machine=RestoredRealms)
        self.flushLoggedErrors(StorageFailed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        run(options.examples, options.seed, RestoredRealms)
    finally:
        sys.stdout.write(", ".join(f"{name} {count}" for name, count in counts.items()) + "\n")


if __name__ == "__main__":
    main()
