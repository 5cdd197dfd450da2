"""A realm that a test scripts: it answers a page's WebSocket from lists of messages, and pushes events.

It shows what a real realm shows rarely: refusals, unverified and encrypted messages. The page itself and the
session come from a real realm.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute

Object = dict[str, Any]
START = "2026-11-20T10:{:02}:00Z"


class ScriptedRealm:
    """Two conversations: 1 with `henderson`, and 2, the group `bola`. `me` reads them."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.messages: dict[int, list[Object]] = {1: [], 2: []}
        self.changes: dict[int, list[Object]] = {1: [], 2: []}
        self.pending: list[Object] = []
        self.marks: list[Object] = []
        #: The states of files, as `sync` tells them.
        self.files: list[Object] = []
        self.read = {1: 0, 2: 0}
        #: The requests so far.
        self.asked: list[Object] = []
        #: Answers in place of those below, by command: the fields of the reply to a request.
        self.answers: dict[str, Callable[[Object], Object]] = {}
        self._ids = itertools.count(100)
        self._socket: WebSocketRoute | None = None

    def serve(self, page: Page) -> None:
        """Answer the page's WebSocket from now on."""
        page.route_web_socket("**/ws", self._connect)

    def said(self, conversation: int, sender: str, text: str | None, **more: Any) -> Object:
        """Add a message to a conversation without telling the page."""
        seq = self.head(conversation) + 1
        to: Object = {"group": "bola"}
        if conversation == 1:
            to = {"to": "henderson" if sender == self.me else self.me}
        message = {
            "conversation": conversation,
            "seq": seq,
            "id": next(self._ids),
            "from": sender,
            **to,
        }
        message |= {"text": text, "at": START.format(seq % 60), "state": "stored", **more}
        self.messages[conversation].append(message)
        return message

    def happened(self, conversation: int, kind: str, **fields: Any) -> Object:
        """Add a change to a conversation without telling the page."""
        seq = self.head(conversation) + 1
        change = {"kind": kind, "conversation": conversation, "seq": seq, **fields}
        self.changes[conversation].append({"at": START.format(seq % 60), **change})
        return self.changes[conversation][-1]

    def push(self, event: str, fields: Mapping[str, Any]) -> None:
        """Tell the page."""
        assert self._socket is not None
        rest = {key: value for key, value in fields.items() if key != "kind"}
        self._socket.send(json.dumps({"event": event, **rest}))

    def cut(self) -> None:
        """Lose the link. The page connects again."""
        assert self._socket is not None
        self._socket.close(code=1012)

    def head(self, conversation: int) -> int:
        """The newest seq."""
        entries = self.messages[conversation] + self.changes[conversation]
        return max((each["seq"] for each in entries), default=0)

    # The requests

    def _connect(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.on_message(lambda line: self._take(socket, json.loads(line)))

    def _take(self, socket: WebSocketRoute, request: Object) -> None:
        self.asked.append(request)
        command = request["command"]
        answer: Callable[[Object], Object] = getattr(self, f"_{command}", _nothing)
        found = self.answers[command](request) if command in self.answers else answer(request)
        reply = {"status": "OK", "id": request["id"], "message": "", **found}
        socket.send(json.dumps(reply))

    def _whoami(self, _request: Object) -> Object:
        return {"username": self.me}

    def _users(self, _request: Object) -> Object:
        people = {self.me: "Lionel Messi", "henderson": "Jordan Henderson", "tasya": "Tasya Kamila"}
        return {"users": [{"username": each, "name": name} for each, name in people.items()]}

    def _conversations(self, _request: Object) -> Object:
        return {"conversations": [self._listed(1), self._listed(2)]}

    def _listed(self, conversation: int) -> Object:
        where: Object = {
            "group": "bola",
            "name": "bola",
            "members": 3,
            "admin": True,
            "code": "k3x:9qa",
        }
        if conversation == 1:
            where = {"user": "henderson", "name": "Jordan Henderson", "online": True}
        messages, read = self.messages[conversation], self.read[conversation]
        unread = [each for each in messages if each["seq"] > read and each["from"] != self.me]
        state = {"unread": len(unread), "read": read, "seq": self.head(conversation)}
        return {
            "conversation": conversation,
            **where,
            **state,
            "last": messages[-1] if messages else None,
        }

    def _invitations(self, _request: Object) -> Object:
        return {"invitations": []}

    def _history(self, request: Object) -> Object:
        conversation = 1 if "user" in request else 2
        messages, n = self.messages[conversation], request["n"]
        start = max(0, len(messages) - n)
        if before := request.get("before"):
            end = sum(each["seq"] < before for each in messages)
            start, n = max(0, end - n), min(n, end)
        elif after := request.get("after"):
            start = sum(each["seq"] <= after for each in messages)
        elif around := request.get("around"):
            middle = sum(each["seq"] < around for each in messages)
            start = max(0, min(middle - n // 2, len(messages) - n))
        page = messages[start : start + n]
        rest = {"earlier": start, "later": len(messages) - start - len(page)}
        return {"messages": page, **rest, "pending": self.pending}

    def _sync(self, request: Object) -> Object:
        conversation = request["conversation"]
        new = [{"kind": "message", **each} for each in self.messages[conversation]]
        entries = sorted(new + self.changes[conversation], key=lambda each: int(each["seq"]))
        entries = [each for each in entries if each["seq"] > request["after"]][: request["n"]]
        rest: Object = {
            "seq": self.head(conversation),
            "version": 1,
            "marks": self.marks,
            "states": [],
        }
        rest["files"] = self.files
        return {"entries": entries, **rest}

    def _send(self, request: Object) -> Object:
        return self._sent(1, request)

    def _sendgroup(self, request: Object) -> Object:
        return self._sent(2, request)

    def _sent(self, conversation: int, request: Object) -> Object:
        more = {"reply": request["reply"]} if "reply" in request else {}
        message = self.said(conversation, self.me, request["text"], **more)
        return {each: message[each] for each in ("conversation", "seq", "at", "state")} | {
            "message_id": message["id"]
        }

    def _change(self, request: Object) -> Object:
        return {"seq": self.head(request["conversation"]) + 1, "at": START.format(59)}

    _edit = _delete = _react = _pin = _change

    def _pins(self, request: Object) -> Object:
        messages = self.messages[1 if "user" in request else 2]
        return {"messages": [each for each in messages if each.get("pinned")]}


def _nothing(_request: Object) -> Object:
    return {}
