"""Renders what happens to messages and conversations: edits, reactions, states, members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chatd.client.render import Line, colour_of, cut, error, note, safe, safe_lines
from chatd.client.state import State
from chatd.client.translations import later, loss, tr

Event = Mapping[str, Any]

QUOTED = 40  # cells of a message in a quotation of it

MEMBERS = {
    "joined": later("{who} joined {group}"),
    "left": later("{who} left {group}"),
    "invited": later("{by} invited {who} to {group}"),
    "kicked": later("{by} removed {who} from {group}"),
    "promoted": later("{by} made {who} an admin of {group}"),
    "demoted": later("{by} made {who} an ordinary member of {group}"),
    "ended": later("{group} has ended"),
    "moved": later("{by} has moved and is {who} now in {group}"),
}
STATES = {
    "delivered": later("Delivered: {quote}"),
    "requested": later("Waits to be accepted: {quote}"),
    "refused": later("Not delivered: {quote}: {reason}"),
    "forged": later("Not from its author: {quote}: {reason}"),
}


def quotation(text: str) -> str:
    """A text on one line, shortened."""
    return cut(safe(text.replace("\n", " ")), QUOTED)


class EventRenderer:
    """Renders events, except messages."""

    def __init__(self, state: State) -> None:
        self._state = state

    def lines(self, event: Event) -> list[Line]:
        """The lines of an event; none for one that is not shown."""
        kind = str(event.get("event", event.get("kind")))
        paint = self._PAINTERS.get(kind)
        return [] if paint is None else paint(self, event)

    def _quote(self, event: Event, seq: object) -> str:
        """The message `seq`, in quotation marks if it was shown, else by its number."""
        thread = self._state.threads.of_conversation(event.get("conversation"))
        shown = None if thread is None else thread.get(seq)
        return f"#{safe(seq)}" if shown is None else f"“{quotation(shown.text)}”"

    def _by(self, event: Event, sentence: str, **details: str) -> Line:
        """A sentence that begins with the name of the person who caused the event."""
        who = str(event.get("from", ""))
        group = event.get("group")
        place = "" if group is None else " " + tr("in {group}", group=safe(group))
        rest = tr(sentence, **details) + _trust(event)
        return [(colour_of(who), safe(who)), ("", place), ("", f" {rest}")]

    def _edited(self, event: Event) -> list[Line]:
        target = event.get("target")
        text = safe_lines(event.get("text") or "")
        line = self._by(event, later("changed #{seq}:"), seq=safe(target))
        return [[*line, ("", f" {text}")]]

    def _deleted(self, event: Event) -> list[Line]:
        return [self._by(event, later("deleted #{seq}"), seq=safe(event.get("target")))]

    def _reaction(self, event: Event) -> list[Line]:
        sentence = later("reacts with {emoji} to {quote}")
        if not event.get("on"):
            sentence = later("takes {emoji} back from {quote}")
        quote = self._quote(event, event.get("target"))
        return [self._by(event, sentence, emoji=safe(event.get("emoji")), quote=quote)]

    def _pinned(self, event: Event) -> list[Line]:
        sentence = later("pinned {quote}") if event.get("on") else later("unpinned {quote}")
        return [self._by(event, sentence, quote=self._quote(event, event.get("target")))]

    def _state_change(self, event: Event) -> list[Line]:
        state = str(event.get("state"))
        if state not in STATES:
            return []
        quote = self._quote(event, event.get("seq"))
        sentence = tr(STATES[state], quote=quote, reason=safe(event.get("reason", "")))
        return [error(sentence) if state in ("refused", "forged") else note(sentence)]

    def _file(self, event: Event) -> list[Line]:
        if event.get("state") == "here":
            return [
                note(
                    tr("The file has arrived: {quote}", quote=self._quote(event, event.get("seq")))
                )
            ]
        if event.get("state") != "lost":
            return []
        reason = safe(loss(event.get("reason", "")))
        quote = self._quote(event, event.get("seq"))
        return [error(tr("The file {quote} did not arrive: {reason}", quote=quote, reason=reason))]

    def _member(self, event: Event) -> list[Line]:
        sentence = MEMBERS.get(str(event.get("what")))
        if sentence is None or event.get("seq") is None:
            return [note(safe(event["message"]))] if event.get("message") else []
        who, group = safe(event.get("who")), safe(event.get("group"))
        by = safe(event.get("by") or event.get("who"))
        return [note(tr(sentence, who=who, by=by, group=group) + _trust(event))]

    def _group(self, event: Event) -> list[Line]:
        by, group = safe(event.get("by")), safe(event.get("group"))
        if event.get("title"):
            title = safe(event["title"])
            sentence = tr("{by} calls {group} “{title}”", by=by, group=group, title=title)
        elif "shut" in event:
            sentence = _shut(event["shut"], group)
        elif event.get("home"):
            home = safe(event["home"])
            sentence = tr("{group} has moved; its address is now {to}", group=group, to=home)
        else:
            sentence = tr("{by} changed the settings of {group}", by=by, group=group)
        return [note(sentence + _trust(event))]

    def _moved(self, event: Event) -> list[Line]:
        old, new = safe(event.get("old")), safe(event.get("new"))
        return [note(tr("{old} has moved and is {new} now", old=old, new=new) + _trust(event))]

    def _rescue(self, event: Event) -> list[Line]:
        was, to = safe(event.get("was")), safe(event.get("to"))
        match event.get("state"):
            case "pending":
                sentence = tr("{was} is to go on as {to}, if its realm stays lost", was=was, to=to)
            case "void":
                sentence = tr("{was} does not go on as {to}: it stays where it is", was=was, to=to)
            case "moved":
                sentence = tr("{was} has moved; its address is now {to}", was=was, to=to)
            case _:
                return []
        return [note(sentence)]

    def _invitation(self, event: Event) -> list[Line]:
        by, group = safe(event.get("by")), safe(event.get("group"))
        sentence = tr("{by} invites you to {group}: accept #{group} joins it", by=by, group=group)
        return [[("mention", sentence)]]

    def _request(self, event: Event) -> list[Line]:
        sentence = tr(
            "{user} asks to write to you: accept @{user}, or decline", user=safe(event.get("user"))
        )
        return [[("mention", sentence)]]

    def _import(self, event: Event) -> list[Line]:
        details = {"n": safe(event.get("messages")), "reason": safe(event.get("reason", ""))}
        match event.get("state"):
            case "done":
                return [note(tr("Your archive is imported: {n} messages", **details))]
            case "failed":
                sentence = "Your import has failed after {n} messages: {reason}"
                return [error(tr(sentence, **details))]
            case "cancelled":
                return [note(tr("Your import is cancelled; {n} messages were imported", **details))]
            case _:
                return []  # it is told too often

    def _room_change(self, event: Event) -> list[Line]:
        who, room = safe(event.get("who")), safe(event.get("room"))
        if event.get("what") == "entered":
            return [note(tr("{who} entered room {room}", who=who, room=room))]
        return [note(tr("{who} left room {room}", who=who, room=room))]

    def _missing(self, _event: Event) -> list[Line]:
        return [note(tr("Some of what you have missed is still to come: history shows it later"))]

    _PAINTERS: Mapping[str, Callable[[EventRenderer, Event], list[Line]]] = {
        "edited": _edited,
        "deleted": _deleted,
        "reaction": _reaction,
        "pinned": _pinned,
        "state": _state_change,
        "file": _file,
        "member": _member,
        "group": _group,
        "moved": _moved,
        "rescue": _rescue,
        "invitation": _invitation,
        "request": _request,
        "import": _import,
        "room-change": _room_change,
        "missing": _missing,
    }


def _trust(event: Event) -> str:
    return f" ({tr('not verified')})" if event.get("unverified") else ""


def _shut(reason: object, group: str) -> str:
    """That the operators of its realm have closed a group for everybody, or opened it."""
    if reason is None:
        return tr("The operators of its realm have opened {group} again", group=group)
    if not reason:
        return tr("The operators of its realm have closed {group}", group=group)
    sentence = "The operators of its realm have closed {group}: {reason}"
    return tr(sentence, group=group, reason=safe(reason))
