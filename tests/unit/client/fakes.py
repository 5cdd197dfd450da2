"""A realm and an output for tests of the client without a connection."""

from __future__ import annotations

import asyncio
from typing import Any

from chatd.client.connection import ConnectionLost
from chatd.client.render import Line, text_of


class RecordingOutput:
    """The output of the client; `lines` has all of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def answered(self, _reply: Any, lines: list[Line]) -> None:
        self.lines += map(text_of, lines)

    refused = answered

    def happened(self, _event: Any, lines: list[Line], notice: bool) -> None:
        self.lines += map(text_of, lines)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def changed(self) -> None: ...


class FakeRealm:
    """Stores messages, each key once. It can lose a reply "before" or "after" it has executed the command, or
    keep "silence". `refuses` has the codes with which it refuses sends; empty: not. An `old` realm knows no
    keys."""

    def __init__(self) -> None:
        self.old = False
        self.keys: dict[tuple[str, str], dict[str, Any]] = {}
        self.messages: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.lose: list[str] = []
        self.refuses: list[str] = []
        self.aborted = 0

    def keep(self, text: str, **to: str) -> dict[str, Any]:
        seq = 1 + sum(1 for each in self.messages if to.items() <= each.items())
        message = {"id": len(self.messages) + 1, "seq": seq, "conversation": 1, "from": "lina"}
        self.messages.append({**message, **to, "text": text})
        return message

    async def ask(self, command: str, **given: Any) -> dict[str, Any]:
        self.asked.append(command)
        losing = self.lose.pop(0) if self.lose else ""
        if losing == "before":
            raise ConnectionLost
        if losing == "silence":
            await asyncio.Event().wait()
        if code := self.refuses.pop(0) if self.refuses and command.startswith("send") else "":
            return {"status": "ERROR", "code": code, "message": "The realm can't store anything"}
        reply = self.do(command, given)
        if losing == "after":
            raise ConnectionLost
        return reply

    def abort(self) -> None:
        self.aborted += 1

    def do(self, command: str, given: dict[str, Any]) -> dict[str, Any]:
        if command in ("send", "sendgroup"):
            if given.get("to") == "nobody":
                return {"status": "ERROR", "code": "unknown-user", "message": "no such user"}
            to = given.get("to") or [given.get("group")]
            names = [to] if isinstance(to, str) else to
            key = "to" if command == "send" else "group"
            once = given.get("key")
            if self.old and once is not None:
                sentence = f"{command} does not take key; usage: {command} …"
                return {"status": "ERROR", "code": "usage", "message": sentence}
            kept = []
            for name in names:
                message = self.keys.get((once or "", name))
                message = message or self.keep(given["text"], **{key: name})
                if once is not None:
                    self.keys[once, name] = message
                kept.append(message)
            first = {"seq": kept[0]["seq"], "message_id": kept[0]["id"]} if len(kept) == 1 else {}
            return {"status": "OK", "id": 1, "message": "Message sent", **first}
        if command == "reply":
            message = self.keys.get((given["key"], "reply")) or self.keep(given["text"], to="budi")
            self.keys[given["key"], "reply"] = message
            return {"status": "OK", "id": 1, "message": "Message sent"}
        if command == "history":
            if "nobody" in given.values():
                return {"status": "ERROR", "code": "unknown-user", "message": "no such user"}
            where = {"to": given["user"]} if "user" in given else {"group": given["group"]}
            found = [each for each in self.messages if where.items() <= each.items()]
            return {"status": "OK", "message": "", "messages": found[-given["n"] :]}
        return {"status": "OK", "message": "done", "messages": [], "conversations": []}


class FakeReconnector:
    is_up = True

    def __init__(self, link: FakeRealm) -> None:
        self._link = link

    async def link(self) -> FakeRealm:
        return self._link
