"""The messages of conversations that were shown, of which the user can pick one to reply to or to change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from chatd.client.seen_entries import SeenEntries

MAX_SHOWN = 500  # messages that are kept of one conversation
MAX_THREADS = 200

Key: TypeAlias = tuple[Any, ...]


class Shown(msgspec.Struct, frozen=True):
    """A message that was shown. `text` is what a quotation of it shows."""

    seq: int
    sender: str
    text: str


class Thread:
    """The messages of one conversation by their numbers, and how far the user has seen the conversation.

    `conversation`, `seen.end` and `version` are what `sync` asks with.
    """

    def __init__(self) -> None:
        self.conversation: int | None = None
        self.seen = SeenEntries()
        self.version: int | None = None
        self.read = 0  # the mark of another person that was shown last
        self._messages: OrderedDict[int, Shown] = OrderedDict()

    def see(self, message: Mapping[str, Any]) -> None:
        """Store a message in its current state."""
        seq = message.get("seq")
        if not isinstance(seq, int):
            return  # its realm has not numbered it yet
        self.note(message.get("conversation"), seq)
        if message.get("deleted"):
            self._messages.pop(seq, None)
            return
        self._messages[seq] = Shown(seq, str(message.get("from", "")), _text_of(message))
        while len(self._messages) > MAX_SHOWN:
            self._messages.popitem(last=False)

    def note(self, conversation: object, seq: object) -> None:
        """Note that the entry `seq` was seen."""
        if isinstance(conversation, int) and isinstance(seq, int):
            self.conversation = conversation
            self.seen.add(seq)

    def has_page(self, page: Mapping[str, Any]) -> None:
        """Note that the newest page of the history was seen."""
        seqs = [each.get("seq") for each in page.get("messages", ())]
        self.seen.reach(max((seq for seq in seqs if isinstance(seq, int)), default=0))

    def change(self, event: Mapping[str, Any]) -> None:
        """Apply an edit or a deletion to a message that was shown."""
        shown = self._messages.get(int(event.get("target") or 0))
        if shown is None:
            return
        if event.get("kind", event.get("event")) == "deleted":
            del self._messages[shown.seq]
        elif event.get("text") is not None:
            self._messages[shown.seq] = msgspec.structs.replace(shown, text=str(event["text"]))

    def messages(self) -> list[Shown]:
        return list(self._messages.values())

    def get(self, seq: object) -> Shown | None:
        return self._messages.get(seq) if isinstance(seq, int) else None

    def step(self, picked: Shown | None, back: bool) -> Shown | None:
        """The message before (`back`) or after `picked`. Without `picked` the last one; after the last one
        None. The first one has none before it, and stays."""
        seqs = sorted(self._messages)
        if not seqs:
            return None
        if picked is None:
            return self._messages[seqs[-1]] if back else None
        if back:
            earlier = [seq for seq in seqs if seq < picked.seq]
            return self._messages[earlier[-1]] if earlier else picked
        later = [seq for seq in seqs if seq > picked.seq]
        return self._messages[later[0]] if later else None


class Threads:
    """Threads by the key of their place (`Place.key`)."""

    def __init__(self) -> None:
        self._threads: OrderedDict[Key, Thread] = OrderedDict()

    def of(self, key: Key) -> Thread:
        thread = self._threads.setdefault(key, Thread())
        self._threads.move_to_end(key)
        while len(self._threads) > MAX_THREADS:
            self._threads.popitem(last=False)
        return thread

    def of_conversation(self, number: object) -> Thread | None:
        """The thread of the conversation with that id, if it was seen."""
        for thread in self._threads.values():
            if thread.conversation == number and number is not None:
                return thread
        return None

    def all(self) -> list[Thread]:
        """The threads that were seen, the one used last at the end."""
        return [each for each in self._threads.values() if each.conversation is not None]

    def clear(self) -> None:
        self._threads.clear()


def _text_of(message: Mapping[str, Any]) -> str:
    file = message.get("file")
    return str(message.get("text") or "") if file is None else str(file.get("name"))
