"""The core of the client: it handles replies and events of the realm and keeps the state up to date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from chatd.client import render
from chatd.client.addresses import Addresses
from chatd.client.catch_up import all_unread, missed
from chatd.client.connection import ConnectionLost
from chatd.client.idempotency import OF_NODE
from chatd.client.link import Callbacks, Link, Reconnector, Reply, RequestChannel
from chatd.client.local_store import Store
from chatd.client.nodes import Nodes
from chatd.client.output import Output
from chatd.client.picture_queue import PictureQueue
from chatd.client.render import Line, Renderer
from chatd.client.render_events import EventRenderer
from chatd.client.render_lists import ListRenderer
from chatd.client.state import State
from chatd.client.translations import refused, said, tr, trn
from chatd.client.typists import Typists

MINE = ("contacts", "mygroups")
NAMES = (*MINE, "groups", "users", "rooms", "realms")
ATTEMPTS = 6  # of a script, each at all nodes; the pauses are 24 s in all


class Client:
    """A user's client. With `live`, it receives messages as they arrive, and always reconnects. Without, it
    does so only if the realm has several nodes, and ATTEMPTS times."""

    def __init__(self, addresses: Addresses, store: Store, out: Output, live: bool) -> None:
        self.state = State(addresses.name)
        self.nodes = Nodes(addresses)
        self.store = store
        self.out = out
        self.live = live
        self.pictures = PictureQueue()
        self.uploading: int | None = None  # the size of the file that is being sent
        self.renderer = Renderer(self.state, stamps=not live)
        self.event_renderer = EventRenderer(self.state)
        self.list_renderer = ListRenderer(self.state, self.renderer)
        self.typists = Typists(self.state.typing, out.changed)
        self.listening: Mapping[str, Any] | None = (
            None  # with which arguments a script has begun to listen
        )
        self.reconnector = Reconnector(
            self.nodes,
            Callbacks(self.on_event, self.greet, out.changed),
            None if live else 0,
        )
        self._early: list[Reply] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def reconnects(self) -> bool:
        """Whether a lost connection is replaced."""
        return self.live or self.nodes.several

    @property
    def whereabouts(self) -> str:
        """The realm, and if it has several addresses, the one that is used."""
        where, target = self.state.where, self.reconnector.status.target
        if not self.nodes.addresses.several or str(target) == where:
            return where
        return f"{where} ({target})"

    # Starting a connection

    async def connect(self, user: str | None) -> bool:
        """Connect for the first time and return whether a stored session exists: the one used last, or the
        one of `user`. Raises ConnectionFailed."""
        addresses = self.nodes.addresses
        self.nodes.preferred = self.store.load().last
        login = self.store.token(addresses, user)
        if login is not None:
            self.state.token = login.token
        elif self.store.needs_tls(addresses, user):
            self.out.note(tr("The stored session is used with --tls only"))
        target = await self.reconnector.first()
        if not self.live and self.nodes.several:
            self.reconnector.attempts = ATTEMPTS
        self.store.visited(addresses, target)
        return login is not None

    async def greet(self, link: Link) -> None:
        """Resume the session on a new connection. Raises ConnectionLost."""
        try:
            await self._take_up(link)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self.store.log_error(error)
            raise ConnectionLost(tr("The realm sent something that could not be read")) from None
        if link.target != self.nodes.current:
            with contextlib.suppress(OSError):
                self.store.visited(self.nodes.addresses, link.target)

    async def _take_up(self, link: Link) -> None:
        state = self.state
        if state.token is None:
            return
        again = state.user is not None
        reply = await link.ask("resume", token=state.token)
        if reply.get("code") in OF_NODE:
            # Another node may be able to.
            raise ConnectionLost(refused(str(reply["code"]), render.safe(reply.get("message"))))
        if reply["status"] != "OK":
            self.refuse(reply)
            if reply.get("code") == "bad-token":
                self._session_ended()
            return
        state.logged_in(str(reply.get("username")), str(reply.get("name")), None)
        if again:
            self._note_again(link)
        elif self.live:
            self.answer("resume", reply)
        if again and state.room is not None:
            await link.ask("roomjoin", room=state.room)
        if self.live:
            await self.settle_in(link, again)
        elif self.listening is not None:
            await self._listen_again(link, self.listening)

    def _note_again(self, link: Link) -> None:
        if self.nodes.addresses.several:
            self.out.note(tr("Connected again, to {where}", where=link.target))
        else:
            self.out.note(tr("Connected again"))

    def welcome(self, reply: Reply, token: str | None) -> None:
        """Store the session after a login."""
        token = str(reply.get("tokenId") or token)
        user = str(reply.get("username"))
        self.state.logged_in(user, str(reply.get("name")), token)
        self.store.logged_in(self.nodes.addresses, user, token)
        self.out.changed()

    async def settle_in(self, link: RequestChannel, again: bool) -> None:
        """Subscribe to events, and load names and unread counts. After a reconnect (`again`), show what
        happened in the meantime. Raises ConnectionLost."""
        self._early = []
        try:
            await link.ask("listen", on=True, all=True)
            await self.learn_names(link, MINE if again else NAMES)
            if again:
                async for event in missed(link, self.state.threads):
                    self._take_entry(event)
            unread = await link.ask("inbox", peek=True)
            await self.count_unread(link)
            await self.count_asking(link)
            for message in unread.get("messages", ()):
                if self.state.see(message) and again:
                    self._show_message(message)
                    self._read_if_open(message)
        finally:
            self._take_early(again)
        if not again:
            self._note_waiting()

    async def _listen_again(self, link: RequestChannel, listening: Mapping[str, Any]) -> None:
        """Continue to listen in a script, and print what would have been pushed. Raises ConnectionLost."""
        self._early = []
        try:
            await link.ask("listen", **listening)
            async for event in missed(link, self.state.threads):
                is_mine = self.state.is_me(str(event.get("from", "")))
                if listening.get("all") or (event.get("event") == "message" and not is_mine):
                    self._take_entry(event)
            async for message in all_unread(link):
                if self.state.see(message):
                    self._show_message({"event": "message", **message})
        finally:
            self._take_early(again=True)

    def _take_early(self, again: bool) -> None:
        """Take the events that have arrived while others were asked for."""
        early, self._early = self._early, None
        for event in early or ():
            if not (again and self.state.has_applied(event)):
                self.on_event(event)

    def _note_waiting(self) -> None:
        """Show how many messages are unread, and how many people and groups wait for an answer."""
        if count := self.state.total_unread:
            self.out.note(
                trn(
                    "{n} message unread; inbox shows it",
                    "{n} messages unread; inbox shows them",
                    count,
                )
            )
        if count := len(self.state.asking):
            self.out.note(
                trn(
                    "{n} person or group waits for your answer: see requests, invitations",
                    "{n} people or groups wait for your answer: see requests, invitations",
                    count,
                )
            )

    async def learn_names(self, link: RequestChannel, commands: tuple[str, ...] = MINE) -> None:
        """Load names, for completion and to tell users from groups. Realms limit these lists."""
        for command in commands:
            self.learn(command, await link.ask(command))

    async def count_unread(self, link: RequestChannel) -> None:
        """Load the unread counts. Like any request, this also confirms everything received before it."""
        reply = await link.ask("unread")
        self._count(reply)

    def _count(self, reply: Reply) -> None:
        counts = reply.get("conversations", ())
        if reply["status"] == "OK":
            self.state.unread = {each["conversation"]: each["unread"] for each in counts}
            self.out.changed()

    async def count_asking(self, link: RequestChannel) -> None:
        """Load the invitations and message requests that wait for an answer."""
        self.state.asking.clear()
        for command in ("invitations", "requests"):
            reply = await link.ask(command)
            for item in reply.get(command, ()):
                self.state.asks(item)
        self.out.changed()

    # Events

    def on_event(self, event: Reply) -> None:
        try:
            self._take(event)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # One malformed event must not stop the connection.
            self.store.log_error(error)
            self.out.note(tr("The realm sent something that could not be read"))

    def _take(self, event: Reply) -> None:
        kind = event.get("event")
        if kind == "room":
            notice = self.state.mentions_me(event)
            self.out.happened(event, [self.renderer.message(event)], notice)
        elif kind in ("session-ended", "closing"):
            self._take_notice(event)
        elif self._early is not None:
            self._early.append(event)
        elif kind == "read":
            self._take_mark(event)
        elif kind == "typing":
            self.typists.began(event.get("conversation"), str(event.get("who")))
        else:
            self._take_entry(event)

    def _take_entry(self, event: Reply) -> None:
        """Show an entry of a log, or a change of a message's state."""
        if event.get("event") != "message":
            lines = self.event_renderer.lines(event)
            self.state.apply(event)
            asks = event.get("event") in ("invitation", "request")
            if asks:
                self.state.asks(event)
            elif event.get("what") in ("accepted", "declined"):
                self.state.asking.discard(f"@{event.get('user')}")
                self.out.changed()
            elif event.get("what") == "kicked" and self.state.is_me(str(event.get("who"))):
                self.state.asking.discard(f"#{event.get('group')}")
                self.out.changed()
            if lines:
                self.out.happened(event, lines, notice=asks)
            return
        self.typists.ended(event.get("conversation"), str(event.get("from")))
        if self.state.see(event) and not self._is_my_upload(event):
            self.state.arrived(event)
            self._show_message(event)
            self._read_if_open(event)

    def _take_notice(self, event: Reply) -> None:
        """Show an event that is a sentence of the realm."""
        sentence = render.safe(event.get("message", event.get("event")))
        if "code" in event:
            sentence = refused(str(event["code"]), sentence)
        self.out.happened(event, [render.note(sentence)], notice=False)
        if event.get("event") == "session-ended":
            self._session_ended()

    def _take_mark(self, event: Reply) -> None:
        """Somebody has read a conversation: the user on another device, or another person."""
        number, who = event.get("conversation", 0), str(event.get("who", ""))
        if self.state.is_me(who):
            self.state.unread.pop(number, None)
            self.aside("unread", self._count)
            self.out.changed()
        elif self.state.read_by(event):
            self.out.happened(event, [render.note(tr("Read by {user}", user=who))], notice=False)

    def _is_my_upload(self, message: Reply) -> bool:
        """Whether this is the file being sent now: the connection of the upload reports it."""
        mine = self.state.is_me(str(message.get("from", "")))
        return mine and message.get("file", {}).get("size") == self.uploading

    def _show_message(self, message: Reply) -> None:
        notice = self.state.mentions_me(message)
        self.out.happened(message, [self.renderer.message(message)], notice)
        self.pictures.want(message)

    def _read_if_open(self, message: Reply) -> None:
        """Mark a message as read if its chat is open."""
        if not self.state.is_open(message):
            return
        number = message.get("conversation", 0)
        self.state.unread.pop(number, None)
        self.out.changed()
        if seq := message.get("seq", 0):
            self.aside("read", conversation=number, seq=seq)

    def aside(
        self, command: str, then: Callable[[Reply], object] | None = None, **arguments: Any
    ) -> None:
        """Send a request in the background, and call `then` with its reply."""

        async def run() -> None:
            try:
                reply = await (await self.reconnector.link()).ask(command, **arguments)
            except ConnectionLost:
                return
            if then is not None:
                then(reply)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _session_ended(self) -> None:
        if self.state.token is not None:
            self.store.logged_out(self.state.token)
        self.state.logged_out(expired=True)
        self.out.changed()

    # Replies

    def learn(self, command: str, reply: Reply) -> None:
        """Store the names in a reply, for completion and to tell users from groups."""
        state = self.state
        if reply["status"] != "OK":
            return
        if command in ("users", "info"):
            state.names.users.add(*_values(reply, "users", "username"))
        elif command == "contacts":
            state.names.contacts.put(_values(reply, "contacts", "username"))
        elif command in ("groups", "mygroups"):
            state.names.groups.add(*_values(reply, "groups", "group"))
            if command == "mygroups":
                state.names.my_groups.put(_values(reply, "groups", "group"))
        elif command == "members":
            state.names.users.add(*_values(reply, "members", "username"))
        elif command == "rooms":
            state.names.rooms.put(_values(reply, "rooms", "room"))
        elif command == "realms":
            state.names.realms.put(_values(reply, "realms", "realm"))

    def answer(
        self,
        verb: str,
        reply: Reply,
        more: Iterable[Line] = (),
        details: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """Show the reply to a command that succeeded. `details`: the user's arguments, by name."""
        given = {name: render.safe(value) for name, value in details.items()}
        sentence = render.safe(said(verb, reply, given))
        lines = [render.plain(sentence)] if sentence else []
        self.out.answered(reply, [*lines, *more])

    def refuse(self, reply: Reply) -> None:
        sentence = refused(str(reply.get("code")), render.safe(reply.get("message")))
        self.out.refused(reply, [render.error(sentence)])

    async def close(self) -> None:
        await self.reconnector.close()


def _values(reply: Reply, items: str, key: str) -> list[str]:
    return [str(each[key]) for each in reply.get(items, ()) if each.get(key)]
