"""The json dialect over WebSocket, on real sockets."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from chatd.base.config import WebConfig
from chatd.base.sources import Networks
from chatd.web import websocket, websocket_frames
from tests.support.common import Listener, run, sleep
from tests.support.websites import PASSWORD, Answer, SiteTestCase, Socket


class Sockets(SiteTestCase):
    async def log_in(self, name: str) -> tuple[str, Socket]:
        cookie = (await self.register(name)).cookie
        return cookie, await self.open(cookie)

    def test_the_cookie_logs_in(self) -> Any:
        async def play() -> None:
            _, socket = await self.log_in("messi")
            reply = await socket.ask(id=1, command="whoami")
            self.assertEqual((reply["status"], reply["username"]), ("OK", "messi"))
            await socket.close()

        return run(play())

    def test_a_header_logs_in(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            token = cookie.partition("=")[2]
            socket = await self.open(headers={"Authorization": f"Bearer {token}"})
            self.assertEqual((await socket.ask(command="whoami"))["status"], "OK")
            await socket.close()

        return run(play())

    def test_messages_come_as_they_are_stored(self) -> Any:
        async def play() -> None:
            _, messi = await self.log_in("messi")
            _, henderson = await self.log_in("henderson")
            await henderson.ask(command="listen", on=True)
            sent = await messi.ask(id="a", command="send", to=["henderson"], text="halo")
            heard = await henderson.frame()
            self.assertEqual(heard["event"], "message")
            self.assertEqual((heard["text"], heard["seq"]), ("halo", sent["seq"]))
            await messi.close()
            await henderson.close()

        return run(play())

    def test_a_session_that_has_ended(self) -> Any:
        """The close code tells the page; a failed handshake would tell a script nothing."""

        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            await self.ask("DELETE", "/session", cookie=cookie)
            socket = await self.open(cookie)
            self.assertEqual(await socket.ended(), websocket.SESSION_OVER)

        return run(play())

    def test_a_program_may_log_in_within(self) -> Any:
        async def play() -> None:
            await self.register("messi")
            socket = await self.open()
            self.assertEqual((await socket.ask(command="whoami"))["code"], "not-logged-in")
            reply = await socket.ask(command="auth", username="messi", password=PASSWORD)
            self.assertEqual(reply["status"], "OK")
            self.assertEqual((await socket.ask(command="whoami"))["username"], "messi")
            await socket.close()

        return run(play())

    def test_unauthenticated_connections_are_limited(self) -> Any:
        async def play() -> None:
            self.patch(websocket, "MAX_UNAUTHENTICATED_PER_ADDRESS", 2)
            first, second = await self.open(), await self.open()
            third = await self.open()
            self.assertEqual(third.code, 503)
            _, friend = await self.log_in("messi")
            self.assertEqual((await friend.ask(command="ping"))["message"], "pong")
            await first.close()
            fourth = await self.open()
            self.assertEqual((await fourth.ask(command="ping"))["message"], "pong")
            for socket in (second, friend, fourth):
                await socket.close()

        return run(play())

    def test_oldest_unauthenticated_connection_makes_room(self) -> Any:
        """The address with most of them loses its oldest, so a few addresses can't keep others out."""

        async def play() -> None:
            self.patch(websocket, "MAX_UNAUTHENTICATED", 3)
            config = self.realm.service.config
            trusting = msgspec.structs.replace(
                config.web, trusted_proxies=Networks.parse("127.0.0.1")
            )
            self.realm.service.context.use(msgspec.structs.replace(config, web=trusting))
            sources = ("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3")
            sockets = [await self.open(headers={"X-Forwarded-For": each}) for each in sources]
            self.assertEqual((await sockets[1].frame())["code"], "too-many-connections")
            await sockets[1].ended()
            for socket in (sockets[0], *sockets[2:]):
                self.assertEqual((await socket.ask(command="ping"))["message"], "pong")
                await socket.close()

        return run(play())

    def test_unauthenticated_connections_close(self) -> Any:
        async def play() -> None:
            self.patch(websocket, "LOGIN_TIME", 1.0)
            await self.register("messi")
            stays, goes = await self.open(), await self.open()
            await stays.ask(command="auth", username="messi", password=PASSWORD)
            self.assertEqual((await goes.frame())["code"], "idle")
            await goes.ended()
            self.assertEqual((await stays.ask(command="ping"))["message"], "pong")
            await stays.close()

        return run(play())

    def test_pages_of_other_sites_are_refused(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
                socket = await self.open(cookie, {"Origin": origin})
                self.assertEqual(socket.code, 403, origin)
            socket = await self.open(cookie, {"Origin": self.url})
            self.assertIsNone(socket.code)
            await socket.close()

        return run(play())

    def test_fragmented_frames(self) -> Any:
        """Fragments, single bytes, several frames at once, and line feeds between tokens."""

        async def play() -> None:
            _, socket = await self.log_in("messi")
            socket.send(TextMessage('{"id":1,', message_finished=False))
            socket.send(TextMessage('"command":"ping"}'))
            self.assertEqual((await socket.frame())["id"], 1)
            for byte in socket.ws.send(TextMessage('{"id":2,"command":"ping"}')):
                socket.transport.write(bytes([byte]))
                await sleep(0)
            self.assertEqual((await socket.frame())["id"], 2)
            socket.transport.write(
                b"".join(
                    socket.ws.send(TextMessage(json.dumps({"id": n, "command": "ping"})))
                    for n in range(20)
                )
            )
            self.assertEqual([(await socket.frame())["id"] for _ in range(20)], list(range(20)))
            self.assertEqual(
                (await self.said(socket, '{\n"id":3,\r\n"command":"ping"\n}\n'))["id"], 3
            )
            socket.send(Ping(b"are you there?"))
            self.assertEqual((await socket.ask(id=4, command="ping"))["id"], 4)
            await socket.close()

        return run(play())

    def test_frame_that_arrives_with_inbox_proves_nothing(self) -> Any:
        """What was sent before the reply to `inbox` does not show that the reply has arrived."""

        async def play() -> None:
            _, messi = await self.log_in("messi")
            cookie, henderson = await self.log_in("henderson")
            for text, lost in (("one", True), ("two", False)):
                await messi.ask(command="send", to=["henderson"], text=text)
                filling = " " * (2 * websocket_frames.PIECE)
                frames = [
                    henderson.ws.send(TextMessage(json.dumps({"command": each}) + filling))
                    for each in ("inbox", "ping")
                ]
                henderson.transport.write(b"".join(frames))
                found = [each["text"] for each in (await henderson.frame())["messages"]]
                self.assertEqual(found, ["one"] if lost else ["one", "two"])
                await henderson.frame()
                if lost:
                    henderson.transport.abortConnection()
                    henderson = await self.open(cookie)
            await henderson.ask(command="ping")
            henderson.transport.abortConnection()
            henderson = await self.open(cookie)
            self.assertEqual((await henderson.ask(command="inbox"))["messages"], [])
            await henderson.close()
            await messi.close()

        return run(play())

    async def said(self, socket: Socket, text: str) -> dict[str, Any]:
        socket.say(text)
        return await socket.frame()

    def test_malformed_requests_are_answered(self) -> Any:
        async def play() -> None:
            _, socket = await self.log_in("messi")
            for text in (
                "",
                "halo",
                "[]",
                '{"command":"send","to":["x"],"text":"a\nb"}',
                '"\ud7ff"',
            ):
                if not text:
                    socket.say(text)  # ignored like an empty line
                    continue
                self.assertEqual((await self.said(socket, text))["code"], "bad-syntax", text)
            long = json.dumps({"command": "ping", "x": "y" * (65 << 10)})
            self.assertEqual((await self.said(socket, long))["code"], "line-too-long")
            self.assertEqual((await socket.ask(id=9, command="ping"))["id"], 9)
            await socket.close()

        return run(play())

    def test_frames_without_an_end(self) -> Any:
        """The size of an incomplete message is limited, and only its sender is cut off."""

        async def play() -> None:
            _, other = await self.log_in("henderson")
            _, socket = await self.log_in("messi")
            for _ in range(20):
                socket.send(TextMessage("x" * (16 << 10), message_finished=False))
                await sleep(0.01)
                if socket.lost:
                    break
            self.assertEqual(await socket.ended(), websocket_frames.TOO_BIG)
            self.assertEqual((await other.ask(command="ping"))["message"], "pong")
            await other.close()

        return run(play())

    def test_closed_before_it_is_answered(self) -> Any:
        """The answer is dropped, and other connections that are flushed in that turn are not affected."""

        async def play() -> None:
            _, other = await self.log_in("henderson")
            _, socket = await self.log_in("messi")
            whoami = TextMessage('{"command":"whoami"}')
            for last in (CloseConnection(1000), TextMessage('{"command":"logout"}')):
                end = socket.ws.send(whoami) + socket.ws.send(last)
                if isinstance(last, TextMessage):
                    end += socket.ws.send(Ping()) + socket.ws.send(CloseConnection(1000))
                socket.transport.write(end)
                self.assertEqual((await other.ask(command="ping"))["message"], "pong")
                await socket.ended()
                answer = await self.ask(
                    "POST", "/session", {"username": "messi", "password": PASSWORD}
                )
                socket = await self.open(answer.cookie)
            await socket.close()
            await other.close()

        return run(play())

    def test_pings(self) -> Any:
        """Pings may come for days. If they are frequent, they count as commands."""

        async def play() -> None:
            _, socket = await self.log_in("messi")
            (session,) = self.realm.sessions.of_account(
                await self.realm.service.accounts.find("messi")
            )
            for _ in range(20):
                socket.transport.write(b"".join(socket.ws.send(Ping()) for _ in range(30)))
                await sleep(0.005)
            self.assertEqual((await socket.ask(command="ping"))["message"], "pong")
            now = self.realm.clock.seconds()
            self.assertEqual(session.bucket.take(now, 600), 0)
            socket.transport.write(b"".join(socket.ws.send(Ping()) for _ in range(2000)))
            self.assertEqual((await socket.ask(command="ping"))["message"], "pong")
            until = self.realm.clock.seconds()
            self.assertGreater(until - now + session.bucket.take(until), 1)
            await socket.close()

        return run(play())

    def test_binary_messages_are_refused(self) -> Any:
        async def play() -> None:
            _, socket = await self.log_in("messi")
            socket.send(BytesMessage(b"{}"))
            self.assertEqual(await socket.ended(), websocket.NOT_TEXT)

        return run(play())

    def test_garbage_instead_of_frames(self) -> Any:
        async def play() -> None:
            _, socket = await self.log_in("messi")
            socket.transport.write(b"\xff" * 100)
            await socket.ended()
            _, after = await self.log_in("henderson")
            self.assertEqual((await after.ask(command="ping"))["message"], "pong")
            await after.close()

        return run(play())

    def test_files_of_a_room(self) -> Any:
        """A session that is in a room by WebSocket may fetch the room's files over HTTP."""

        async def play() -> None:
            cookie, messi = await self.log_in("messi")
            other = (await self.register("lineker")).cookie
            await messi.ask(command="roomjoin", room="tamu")
            login = await self.realm.service.accounts.register("budi", PASSWORD, None, None)
            sender, session = Listener(), object()
            self.realm.service.rooms.join(session, login.account, sender, "tamu")
            upload = self.realm.service.room_files.begin(session, login.account, "a b.txt", 3)
            upload.write(b"abc")
            file = await upload.finish()
            heard = await messi.frame()
            self.assertEqual((heard["event"], heard["file"]["code"]), ("room", file.code))
            path = f"/files/{file.code}"
            answer = await self.ask("GET", f"{path}?room", cookie=cookie)
            self.assertEqual((answer.code, answer.body), (200, b"abc"))
            self.assertEqual((await self.ask("GET", path, cookie=cookie)).code, 404)
            answer = await self.ask("GET", f"{path}?room", cookie=other)
            self.assertEqual((answer.code, answer.json["code"]), (403, "not-in-room"))
            await messi.ask(command="roomleave")
            answer = await self.ask("GET", f"{path}?room", cookie=cookie)
            self.assertEqual(answer.json["code"], "not-in-room")
            await messi.close()

        return run(play())

    def test_files_go_over_http(self) -> Any:
        async def play() -> None:
            _, socket = await self.log_in("messi")
            for command in (
                {"command": "sendfile", "to": ["messi"], "filename": "a.txt", "size": 3},
                {"command": "roomsendfile", "filename": "a.txt", "size": 3},
                {"command": "roomgetfile", "code": "a.txt"},
                {"command": "export"},
            ):
                reply = await socket.ask(**command)
                self.assertEqual(reply["code"], "use-http")
            await socket.close()

        return run(play())

    def test_logged_out_over_http(self) -> Any:
        """The WebSockets of the session are told."""

        async def play() -> None:
            cookie, socket = await self.log_in("messi")
            await self.ask("DELETE", "/session", cookie=cookie)
            self.assertEqual((await socket.frame())["event"], "session-ended")
            self.assertEqual((await socket.ask(command="whoami"))["code"], "not-logged-in")
            await socket.close()

        return run(play())

    def test_no_handshake(self) -> Any:
        async def play() -> Answer:
            cookie = (await self.register("messi")).cookie
            answer = await self.ask("GET", "/ws", cookie=cookie)
            self.assertEqual(answer.code, 400)
            return answer

        return run(play())

    def test_the_realm_shuts_down(self) -> Any:
        async def play() -> None:
            _, socket = await self.log_in("messi")
            closing = self.site.finish()
            self.assertEqual((await socket.frame())["code"], "shutting-down")
            await socket.ended()
            await closing
            self.assertEqual(self.connections.total, 0)

        return run(play())

    def test_connections_are_counted_once(self) -> Any:
        async def play() -> None:
            _, socket = await self.log_in("messi")
            await sleep(0.02)  # until the connections of the requests are closed
            self.assertEqual(self.connections.total, 1)
            await socket.close()
            await sleep(0.02)
            self.assertEqual(self.connections.total, 0)
            self.assertFalse(self.realm.service.presence.online())

        return run(play())


class OtherOrigins(SiteTestCase):
    web = WebConfig(frozenset({"https://chat.example.org"}))

    def test_those_that_the_operator_allows(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            socket = await self.open(cookie, {"Origin": "https://chat.example.org"})
            self.assertEqual((await socket.ask(command="ping"))["message"], "pong")
            await socket.close()

        return run(play())
