"""Tests of chatd.simulate.group_replay: what a log entitles its authors to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.group_replay import GroupReplay, LoggedEntry


def member(seq: int, author: str, what: str, who: str) -> LoggedEntry:
    return LoggedEntry(seq, "member", author, data={"what": what, "who": who})


LOG = [
    member(1, "budi", "joined", "budi"),
    member(2, "ana@realm1", "joined", "ana@realm1"),
    LoggedEntry(3, "message", "ana@realm1", text="m1"),
    LoggedEntry(4, "message", "budi", text="m2"),
    member(5, "budi", "kicked", "ana@realm1"),
]


class GroupReplayTestCase(SynchronousTestCase):
    def unauthorized(self, *more: LoggedEntry) -> list[int]:
        replay = GroupReplay([*LOG, *more], "budi", private=False)
        return [entry.seq for entry in replay.unauthorized]

    def test_deletion_after_kick(self) -> None:
        """A former member deletes what they wrote, and nothing else."""
        own = LoggedEntry(6, "deleted", "ana@realm1", target=3)
        other = LoggedEntry(7, "deleted", "ana@realm1", target=4)
        self.assertEqual(self.unauthorized(own, other), [7])

    def test_edit_after_kick(self) -> None:
        self.assertEqual(self.unauthorized(LoggedEntry(6, "edited", "ana@realm1", target=3)), [6])

    def test_guests_of_former_homes(self) -> None:
        """Before the group moved here, people here were guests, and those of its former home were not."""
        log = [
            member(1, "ana@realm1", "joined", "ana@realm1"),
            LoggedEntry(2, "message", "budi", text="m1"),
            LoggedEntry(3, "message", "dewi@realm1", text="m2"),
            LoggedEntry(4, "message", "budi", text="m3"),
            LoggedEntry(5, "message", "dewi@realm1", text="m4"),
        ]
        replay = GroupReplay(log, "ana@realm1", private=False, homes=[(3, "realm1")])
        self.assertEqual([entry.seq for entry in replay.unauthorized], [3, 4])
