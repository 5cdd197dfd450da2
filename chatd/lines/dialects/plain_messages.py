"""Messages as lines of the `plain` dialect."""

from __future__ import annotations

from chatd.base import attachments, model
from chatd.base.characters import isolated, isolated_lines
from chatd.base.timestamps import timestamp
from chatd.lines.dialect import content

FURTHER = "\r\n  | "  # before each further line of a text
PUSHED_FURTHER = "\r\n* | "


def message_lines(message: model.Message, further: str = FURTHER) -> str:
    place = "" if message.group is None else f" in {message.group}"
    before = f"{timestamp(message.at)} {message.sender}{place}{_marks(message)}"
    if message.deleted:
        return before
    text = content(message)
    shown = isolated(text) if "\n" not in text else isolated_lines(text, further)
    return f"{before}: {shown}"


def _marks(message: model.Message) -> str:
    """What few messages have, in brackets before the text, where no text can pretend to be it."""
    marks = ["deleted"] if message.deleted else []
    if not message.seq:
        marks.append(f"id {message.id}")
    if message.edited is not None:
        marks.append("edited")
    if message.forwarded is not None:
        marks.append(f"forwarded from {message.forwarded}")
    if message.reply is not None:
        marks.append(f"reply to #{message.reply}")
    if message.pinned:
        marks.append("pinned")
    if message.unverified:
        marks.append("unverified")
    if message.imported:
        marks.append("imported")
    if message.blocked:
        marks.append("blocked")
    if message.state in (model.QUEUED, model.REFUSED, model.REQUESTED):
        marks.append(message.state if message.reason is None else f"refused: {message.reason}")
    if message.file is not None and message.file.arrival is not None:
        marks.append(_file_state(message.file))
    marks.extend(f"{each.emoji} {each.count}" for each in message.reactions)
    return f" ({', '.join(marks)})" if marks else ""


def _file_state(file: attachments.Attachment) -> str:
    """The mark of a file that is not here."""
    return f"file {file.state}" if file.reason is None else f"file {file.state}: {file.reason}"
