"""From rows of messages to what is searched of them."""

from __future__ import annotations

from typing import Any

from chatd.base.folding import fold
from chatd.base.names import key_of
from chatd.store.search.blocks import Record

# What `record_of` needs, from `messages` and WITH_FILE.
SEARCHED = (
    "messages.id, messages.conversation_id, messages.seq, messages.at, messages.sender, "
    "messages.text, attachments.name, messages.deleted_at, messages.media"
)
SEQ = 2  # the place of `seq` in it
WITH_FILE = "LEFT JOIN attachments ON attachments.id = messages.attachment_id"


def record_of(row: Any) -> Record | None:
    """What is searched of a message: its text and the name of its file. None of a message that
    is deleted, or opaque."""
    ident, _, _, at, sender, text, name, deleted_at, media = row
    if deleted_at is not None or media is not None:
        return None
    folded = fold(text or "")
    if name is not None:
        folded = fold(name) if text is None else f"{folded}\t{fold(name)}"
    data = folded.encode(errors="surrogatepass")
    return Record(ident, at, key_of(sender), name is not None, data)
