"""The nodes of a realm on real sockets, for tests of the client."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import ssl
from typing import Any

TOKEN = "token-of-lina"
CONVERSATION = 3


class Log:
    """What the nodes of a realm share: one conversation of lina and budi, and the keys of its messages."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.keys: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}  # of files, by key
        self.read = 0

    def add(self, sender: str, text: str) -> dict[str, Any]:
        seq = len(self.entries) + 1
        to = "budi" if sender == "lina" else "lina"
        entry = {
            "conversation": CONVERSATION,
            "seq": seq,
            "id": seq,
            "from": sender,
            "to": to,
            "text": text,
        }
        self.entries.append({"kind": "message", **entry})
        return entry

    def texts(self) -> list[str]:
        return [each["text"] for each in self.entries]


class Node:
    """A node that speaks the json dialect. It dies when it has carried out a command of the name `dies_at`,
    refuses to resume with the code `ill`, and files with the codes in `refuses`."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.asked: list[dict[str, Any]] = []
        self.dies_at = ""
        self.ill = ""
        self.refuses: list[str] = []
        self.silent = False
        self._open: set[asyncio.StreamWriter] = set()
        self.listening: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._serve, host, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        self._server.close()
        for each in list(self._open):
            each.transport.abort()
        await asyncio.sleep(0)

    def push(self, entry: dict[str, Any]) -> None:
        for each in self.listening:
            each.write(json.dumps({"event": "message", **entry}).encode() + b"\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                try:
                    request = json.loads(line)
                except ValueError:
                    break  # a client that wants TLS
                self.asked.append(request)
                if self.silent:
                    continue
                reply = self._do(request, writer)
                if reply["status"] == "READY":
                    writer.write(json.dumps(reply).encode() + b"\n")
                    reply = self._keep_file(request, await reader.readexactly(request["size"]))
                if request["command"] == self.dies_at:
                    await self.kill()
                    break
                writer.write(json.dumps({"id": request.get("id"), **reply}).encode() + b"\n")
        self._open.discard(writer)
        self.listening.discard(writer)
        writer.close()

    def _keep_file(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        self._keep(request, f"file {data.decode()}")
        digest = hashlib.sha256(data).hexdigest()
        facts = {"name": request["filename"], "size": len(data), "code": "k3x9qa", "sha256": digest}
        self.log.receipts[request["key"]] = {"status": "OK", "message": "File sent", **facts}
        return self.log.receipts[request["key"]]

    def _keep(self, request: dict[str, Any], text: str) -> dict[str, Any]:
        kept = self.log.keys.get(request["key"]) or self.log.add("lina", text)
        self.log.keys[request["key"]] = kept
        return kept

    def _do(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> dict[str, Any]:
        done = {"status": "OK", "message": "done"}
        match request["command"]:
            case "resume" if self.ill:
                return {"status": "ERROR", "code": self.ill, "message": "Try again later"}
            case "resume":
                assert request["token"] == TOKEN
                return {**done, "username": "lina", "name": "Lina"}
            case "roomjoin":
                return {**done, "room": request["room"]}
            case "listen":
                self.listening.add(writer)
                return {**done, "listening": True}
            case "send":
                kept = self._keep(request, request["text"])
                return {**done, "message": "Message sent", "seq": kept["seq"], "message_id": kept["id"],
                        "conversation": CONVERSATION}  # fmt: skip
            case "sendfile" if self.refuses:
                return {"status": "ERROR", "code": self.refuses.pop(), "message": "Not now"}
            case "sendfile":
                return self.log.receipts.get(request["key"], {"status": "READY"})
            case "sync":
                return {**done, "entries": self.log.entries[request["after"] :]}
            case "inbox":
                unread = [each for each in self.log.entries
                          if each["from"] != "lina" and each["seq"] > self.log.read]  # fmt: skip
                return {**done, "messages": unread[:2], "remaining": len(unread[2:])}
            case "read":
                self.log.read = max(self.log.read, request["seq"])
                return done
            case _:
                return {**done, "messages": [], "conversations": []}
