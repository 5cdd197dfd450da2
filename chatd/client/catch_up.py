"""Catching up after a lost connection: the entries that the conversations got in the meantime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chatd.client.link import Reply, RequestChannel
from chatd.client.threads import Thread, Threads

MAX_THREADS_SYNCED = 20  # those used last; what is unread in others is found in the inbox
PAGE = 500  # entries
MAX_PAGES = 4  # for each thread; after that the history has the rest
MAX_UNREAD_PAGES = 20  # of the inbox


async def missed(link: RequestChannel, threads: Threads) -> AsyncIterator[Reply]:
    """Yield what the threads have missed, as events: entries in the order of each log, then states of
    messages and files that have changed. `missing` comes before entries if others before them are still to
    come. Raises ConnectionLost."""
    for thread in threads.all()[-MAX_THREADS_SYNCED:]:
        async for event in _missed_in(link, thread):
            yield event


async def _missed_in(link: RequestChannel, thread: Thread) -> AsyncIterator[Reply]:
    for _ in range(MAX_PAGES):
        after = thread.seen.end
        given: dict[str, Any] = {"conversation": thread.conversation, "after": after, "n": PAGE}
        if thread.version is not None:
            given |= {"version": thread.version}
        reply = await link.ask("sync", **given)
        if reply["status"] != "OK":
            return  # no longer a member, or a realm that does not know `sync`
        if isinstance(reset := reply.get("reset"), int) and reset < after:
            thread.seen.restart(reset)
            thread.version = None  # the realm was restored from a backup
            continue
        if reply.get("missing") is not None:
            yield {"event": "missing", "conversation": thread.conversation}
        entries = reply.get("entries", ())
        for entry in entries:
            if (seq := entry.get("seq")) not in thread.seen:
                yield {"event": entry.get("kind"), **entry}
            if isinstance(seq, int):
                thread.seen.reach(seq)
        for change in reply.get("states", ()):
            yield {"event": "state", "conversation": thread.conversation, **change}
        for change in reply.get("files", ()):
            yield {"event": "file", "conversation": thread.conversation, **change}
        learn_version(thread, reply)
        if not entries or thread.seen.end == after:
            return


def learn_version(thread: Thread, reply: Reply) -> None:
    """Note what `sync` has to be asked with the next time."""
    if isinstance(version := reply.get("version"), int):
        thread.version = version


async def all_unread(link: RequestChannel) -> AsyncIterator[Reply]:
    """Yield the unread messages, and mark those of each page as read when they were taken. Raises
    ConnectionLost."""
    for _ in range(MAX_UNREAD_PAGES):
        page = await link.ask("inbox", peek=True)
        ends: dict[int, int] = {}
        for message in page.get("messages", ()):
            yield message
            if isinstance(seq := message.get("seq"), int):
                number = message.get("conversation", 0)
                ends[number] = max(seq, ends.get(number, 0))
        for number, seq in ends.items():
            await link.ask("read", conversation=number, seq=seq)
        if not (ends and page.get("remaining")):
            return
