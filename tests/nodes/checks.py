"""What has to hold in the end, whatever has failed. Each check returns sentences about what does not."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.nodes.kicks import Episode
from tests.nodes.listeners import Entry, first_word, identity
from tests.nodes.operations import Operation

SENDS = ("send", "outside", "file")  # what stores a message
SHOWN = 5  # of the things that are wrong in the same way
#: After the answer to a kick, reads have to be refused within this time. Writes are refused, and nothing that
#: is stored is pushed, from the entry of the kick on.
KICK_TIME = 1.0  # seconds


@dataclass(frozen=True)
class Log:
    """The log of a conversation in one realm, in the end."""

    label: str
    realm: str
    entries: Sequence[Entry]

    @property
    def names(self) -> dict[str, list[int]]:
        """The seqs of each message that is not deleted, by the first word of its text."""
        found: dict[str, list[int]] = defaultdict(list)
        for entry in self.entries:
            if entry["kind"] == "message" and not entry.get("deleted"):
                found[first_word(entry)].append(entry["seq"])
        return found

    def __str__(self) -> str:
        return f"{self.label} in {self.realm}"


def some(what: str, found: Iterable[object]) -> list[str]:
    """A sentence about all of `found`, if there are any."""
    listed = list(found)
    if not listed:
        return []
    shown = "; ".join(map(str, listed[:SHOWN]))
    return [f"{what}: {len(listed)}, such as {shown}"]


def sends(operations: Iterable[Operation], place: str) -> list[Operation]:
    """The messages that somebody wanted to send there."""
    return [each for each in operations if each.place == place and each.verb in SENDS]


def deleted(operations: Iterable[Operation]) -> set[str]:
    """The names of the messages that somebody wanted to delete."""
    return {each.name for each in operations if each.verb == "delete"}


def seq_in(log: Log, operation: Operation) -> int | None:
    """The seq with which an operation was acknowledged, if it is one of this log: in a direct between two
    realms, each of them numbers its own log."""
    is_direct = "~" in log.label
    return None if is_direct and not operation.who.endswith(f"@{log.realm}") else operation.seq


def lost(log: Log, operations: Sequence[Operation]) -> list[str]:
    """Messages that were acknowledged, and are not in the log where they were acknowledged."""
    names, gone = log.names, deleted(operations)
    at = {entry["seq"]: entry for entry in log.entries}
    missing = []
    for each in sends(operations, log.label):
        if not each.is_ok or (each.reply or {}).get("state") == "refused":
            continue
        seq = seq_in(log, each)
        if each.name in gone:
            entry = at.get(seq or 0)
            if seq is not None and (entry is None or entry["kind"] != "message"):
                missing.append(f"{each.name} at {seq}, which was deleted later")
        elif each.name not in names:
            missing.append(f"{each.name} at {each.seq}")
        elif seq is not None and seq not in names[each.name]:
            missing.append(f"{each.name} was acknowledged at {seq}, is at {names[each.name]}")
    return some(f"{log}: lost", missing)


def doubled(log: Log) -> list[str]:
    """Messages that are stored more than once."""
    found = (f"{name} at {seqs}" for name, seqs in log.names.items() if len(seqs) > 1)
    return some(f"{log}: stored twice", found)


def invented(log: Log, operations: Sequence[Operation]) -> list[str]:
    """Messages in the log that no client sent."""
    known = {each.name for each in sends(operations, log.label)}
    return some(f"{log}: never sent", log.names.keys() - known)


def gaps(log: Log) -> list[str]:
    """Seqs that no entry has."""
    seqs = [entry["seq"] for entry in log.entries]
    return some(
        f"{log}: gaps after",
        (seq for seq, after in zip([0, *seqs], seqs, strict=False) if after != seq + 1),
    )


def disordered(log: Log, operations: Sequence[Operation]) -> list[str]:
    """Messages that come before one whose acknowledgement they have followed. In the realm of the home that
    holds for messages of all senders, elsewhere for those of each."""
    by_sender: dict[str, list[tuple[int, Operation]]] = defaultdict(list)
    names = log.names
    for each in sends(operations, log.label):
        if each.is_ok and each.name in names:
            by_sender[each.who].append((names[each.name][0], each))
    groups = list(by_sender.values())
    if all(who.endswith(f"@{log.realm}") for who in by_sender):
        groups = [[pair for group in groups for pair in group]]
    wrong = []
    for group in groups:
        group.sort(key=lambda pair: pair[0])
        first = math.inf  # the time when the first of the later messages was acknowledged
        later = ""
        for seq, each in reversed(group):
            if each.began > first:
                wrong.append(f"{each.name} at {seq} before {later}")
            if each.ended < first:
                first, later = each.ended, each.name
    return some(f"{log}: not in order", wrong)


def wrong_changes(log: Log, operations: Sequence[Operation]) -> list[str]:
    """Changes that were acknowledged, and are not in the log; texts that are not those of the last edit."""
    at = {entry["seq"]: entry for entry in log.entries}
    kinds = {"edit": "edited", "delete": "deleted", "react": "reaction"}
    missing, texts = [], defaultdict(list)
    for each in operations:
        if each.place != log.label or each.verb not in kinds:
            continue
        if each.verb == "edit":
            texts[each.name].append(each)
        if not each.is_ok or seq_in(log, each) is None:
            continue
        entry = at.get(each.seq or 0)
        if entry is None or entry["kind"] != kinds[each.verb]:
            missing.append(f"{each.verb} of {each.name} at {each.seq}")
    wrong = []
    for entry in log.entries:
        if entry["kind"] != "message" or first_word(entry) not in texts:
            continue
        edits = texts[first_word(entry)]
        accepted = [each for each in edits if each.is_ok]
        possible = {each.request["text"] for each in edits if each.is_doubtful}
        possible.add(accepted[-1].request["text"] if accepted else first_word(entry))
        if entry["text"] not in possible and not any(each.reply is None for each in edits):
            wrong.append(f"{entry['text']!r} at {entry['seq']}, not {sorted(possible)}")
    return some(f"{log}: lost changes", missing) + some(f"{log}: other texts", wrong)


def differing(log: Log, other: Mapping[int, Entry], who: str) -> list[str]:
    """Entries that differ in somebody else's copy, or are missing or added there."""
    here = {entry["seq"]: entry for entry in log.entries}
    wrong = []
    for seq in sorted(here.keys() | other.keys()):
        one, two = here.get(seq), other.get(seq)
        if one is None or two is None:
            wrong.append(f"{seq} is only in {'the log' if two is None else 'theirs'}: {one or two}")
        elif not alike(one, two):
            wrong.append(f"{seq} is {identity(one)} in the log, {identity(two)} there")
    return some(f"{log}: {who} differs", wrong)


def alike(one: Entry, two: Entry) -> bool:
    """Whether they are the same entry, but perhaps with another state of its text."""
    blank = first_word(one) == "" or first_word(two) == ""
    first, second = identity(one), identity(two)
    return first[:-1] == second[:-1] and (blank or first[-1] == second[-1])


def mirrors(home: Log, mirror: Log) -> list[str]:
    """Entries of a group that differ in another realm, from the first that it has. Addresses look different
    there."""
    theirs = {entry["seq"]: entry for entry in mirror.entries}
    wrong = []
    for entry in home.entries:
        other = theirs.pop(entry["seq"], None)
        if mirror.entries and entry["seq"] < mirror.entries[0]["seq"]:
            continue
        if other is None:
            wrong.append(f"{entry['seq']} is missing: {identity(entry)}")
        elif other["kind"] != entry["kind"] or not alike_texts(entry, other):
            wrong.append(f"{identity(entry)} is {identity(other)}")
    wrong += [f"{seq} is only there" for seq in theirs]
    return some(f"{mirror} differs from its home", wrong)


def alike_texts(one: Entry, two: Entry) -> bool:
    if one["kind"] != "message" or "" in (first_word(one), first_word(two)):
        return True
    return first_word(one) == first_word(two)


def after_leaving(operations: Sequence[Operation]) -> list[str]:
    """Messages that somebody sent after leaving, and that were stored."""
    return some(
        "stored after leaving",
        (each.name for each in operations if each.verb == "outside" and each.is_ok),
    )


def after_kick(episode: Episode, log: Log) -> list[str]:
    """What somebody could still do after a kick."""
    kicked = episode.kicked
    if kicked is None:
        return []
    found = []
    for each in episode.operations:
        if each.is_ok and each.verb == "send" and each.began >= kicked:
            found.append(f"{each.name} was sent {each.began - kicked:.2f} s later")
        elif each.is_ok and each.verb != "send" and each.began >= kicked + KICK_TIME:
            found.append(f"{each.verb} succeeded {each.began - kicked:.2f} s later")
    ends = [
        entry["seq"]
        for entry in log.entries
        if entry["kind"] == "member" and entry.get("what") == "kicked"
    ]
    if not ends:
        return some(f"{log}: after a kick", [*found, "the log has no kick"])
    names = log.names
    found += [
        f"{name} at {names[name][0]} was pushed to them, after the kick at {ends[0]}"
        for name, _ in episode.pushed
        if name in names and names[name][0] > ends[0]
    ]
    for entry in log.entries:
        author = episode.victim.partition("@")[0]
        if entry["seq"] > ends[0] and author in (entry.get("from"), entry.get("who")):
            found.append(f"{identity(entry)} is after the kick at {ends[0]}")
    return some(f"{log}: after a kick", found)


def refusals(operations: Iterable[Operation]) -> Counter[str]:
    """How often each verb was refused with each code."""
    return Counter(f"{each.verb}: {each.code}" for each in operations if each.code is not None)
