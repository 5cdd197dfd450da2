"""Runs typed commands one after another and survives lost connections.

Commands wait while there is no connection. One whose reply was lost is repeated if that is safe (see
idempotency.py); otherwise the user is told. What the realm can't store at the moment is sent again for
a while.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, assert_never

from chatd.base.names import Address
from chatd.client import render
from chatd.client.actions import (
    GetFiles,
    ListNumberedGroups,
    OpenChat,
    QueuedAction,
    Request,
    SayInChat,
    SendFiles,
)
from chatd.client.client import Client
from chatd.client.connection import ConnectionLost
from chatd.client.idempotency import KEYED, TEMPORARY
from chatd.client.line_parser import by_name
from chatd.client.link import Link, Reply
from chatd.client.queued_command import QueuedCommand
from chatd.client.render import Line
from chatd.client.state import Kind, Place
from chatd.client.translations import tr
from chatd.commands import values as ask

# Fields of a reply that are not shown.
_HIDDEN = {
    "status", "id", "message", "tokenId", "username", "conversation", "seq", "message_id", "remaining",
    "listening", "group", "room", "mime", "at", "state", "session", "report", "status_text", "away", "notify",
    "archived", "target", "user", "earlier",
    "later",
}  # fmt: skip
_INBOXES = (ask.ReadInbox, ask.ReadGroupInbox, ask.ReadRealmInbox, ask.ReadOwnRealmInbox)
BEFORE = 8  # messages shown when a chat is opened, besides the unread ones
MAX_REFUSALS = 6  # times that a refused message is sent again; the pauses are a minute in all
MAX_LOST = 10  # connections that one line of a script may lose
SEND_TIME = 20.0  # seconds for the reply to a message, if there is another node to go to


def _listed(reply: Reply, name: str) -> list[Any]:
    """The list `name` of a reply. In some replies a number has that name."""
    found = reply.get(name)
    return found if isinstance(found, list) else []


class NotNow(Exception):
    """The realm can't store a message at the moment."""


class CommandQueue:
    def __init__(
        self,
        client: Client,
        transfer: Callable[[SendFiles | GetFiles], Any],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._client = client
        self._transfer = transfer
        self._sleep = sleep
        self._jitter = jitter
        self._queue: list[QueuedCommand] = []
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def put(self, line: str, todo: QueuedAction) -> None:
        self._queue.append(QueuedCommand(line, todo, self._client.state.user))
        self._idle.clear()
        self._more.set()

    async def idle(self) -> None:
        """Wait until no command can run."""
        await self._idle.wait()

    def left(self) -> list[str]:
        """The lines that have not run."""
        return [job.name for job in self._queue]

    async def run(self) -> None:
        while True:
            link = await self._client.reconnector.link()
            job = self._next()
            if job is None:
                self._idle.set()
                self._more.clear()
                await self._more.wait()
                continue
            try:
                await self._carry_out(link, job)
            except ConnectionLost as lost:
                job.loses(sent=lost.sent)
                self._client.out.changed()
                if not self._client.live and self._is_final(job):
                    raise
                continue
            except NotNow:
                await self._sleep(job.pause(self._jitter))
                continue
            except BrokenPipeError:
                raise  # the output of the script was closed
            except Exception as error:
                self._unexpected(job, error)
            self._queue.remove(job)
            self._client.out.changed()

    def _is_final(self, job: QueuedCommand) -> bool:
        """Whether a script ends with a lost connection. A transfer has been repeated already."""
        is_transfer = isinstance(job.todo, SendFiles | GetFiles)
        can_repeat = self._client.reconnects and job.may_repeat and job.losses <= MAX_LOST
        return is_transfer or not can_repeat

    def _unexpected(self, job: QueuedCommand, error: Exception) -> None:
        """Report an unexpected error and continue with the next line."""
        path = self._client.store.log_error(error)
        sentence = tr("The client itself failed; {path} has the details", path=path)
        self._client.refuse({"status": "ERROR", "code": "client", "message": sentence})

    def _next(self) -> QueuedCommand | None:
        """The first command that can run. After a session has ended, its commands wait for the next login; if
        another user logs in, they are dropped."""
        state = self._client.state
        for job in list(self._queue):
            if not job.needs_login or not (state.expired or self._is_anothers(job)):
                return job
            if not state.expired:
                self._queue.remove(job)
                self._client.out.note(
                    tr("Not done, because {user} typed it: {line}", user=job.user, line=job.name)
                )
        return None

    def _is_anothers(self, job: QueuedCommand) -> bool:
        user = self._client.state.user
        return job.user is not None and user is not None and not self._client.state.is_me(job.user)

    async def _carry_out(self, link: Link, job: QueuedCommand) -> None:
        if not job.may_repeat:
            self._client.out.note(job.unanswered())
            return
        match job.todo:
            case Request():
                await self._request(link, job, job.todo)
            case SayInChat():
                await self._talk(link, job, job.todo)
            case OpenChat(place=place):
                await self._open(link, place)
            case ListNumberedGroups():
                await self._my_groups(link)
            case SendFiles() | GetFiles():
                await self._transfer(job.todo)
            case _:
                assert_never(job.todo)

    # Actions

    async def _request(self, link: Link, job: QueuedCommand, todo: Request) -> None:
        given = by_name(todo.row, todo.command)
        if isinstance(todo.command, KEYED):
            reply = await self._send(link, job, todo.row.verb, **given)
        else:
            reply = await link.ask(todo.row.verb, **given)
        if reply["status"] == "OK":
            self._learn(todo, reply)
        details = {k: v if isinstance(v, str) else ", ".join(v) for k, v in given.items()
                   if isinstance(v, str | list) and k not in ("password", "old", "new", "token")}  # fmt: skip
        self._finish(todo.row.verb, reply, details)
        if reply["status"] == "OK":
            await self._afterwards(link, todo, reply)

    def _finish(self, verb: str, reply: Reply, details: Mapping[str, object]) -> None:
        """Show the reply to a command."""
        client = self._client
        if reply["status"] != "OK":
            client.refuse(reply)
            return
        for receipt in (reply, *reply.get("sent", ())):
            client.state.note(
                receipt.get("message_id") or (receipt.get("id") if receipt is not reply else 0)
            )
        count = len(_listed(reply, "messages") or _listed(reply, verb))
        client.answer(verb, reply, self._more_of(verb, reply), {"count": count, **details})

    def _more_of(self, verb: str, reply: Reply) -> list[Line]:
        hidden = {*_HIDDEN, "name"} if verb in ("auth", "register", "resume") else _HIDDEN
        lines: list[Line] = []
        for key, value in reply.items():
            if key not in hidden and isinstance(value, str | int) and value != "":
                shown = (
                    {True: tr("yes"), False: tr("no")}[value] if isinstance(value, bool) else value
                )
                lines.append([("time", f"{key}: "), ("", render.safe(shown))])
        return [*lines, *self._client.list_renderer.items(reply, inbox="inbox" in verb)]

    def _learn(self, todo: Request, reply: Reply) -> None:
        client, command = self._client, todo.command
        client.learn(todo.row.verb, reply)
        client.state.caused(reply)
        for message in _listed(reply, "messages"):
            client.state.see(message)
        match command:
            case ask.LogIn() | ask.Register():
                client.welcome(reply, None)
            case ask.ResumeSession(token=token):
                client.welcome(reply, token)
            case ask.LogOut() | ask.DeleteAccount():
                if client.state.token is not None:
                    client.store.logged_out(client.state.token)
                client.state.logged_out(expired=False)
            case ask.SetListening() if not client.live:
                client.listening = {"on": True, "all": command.everything} if command.on else None
            case ask.JoinRoom():
                client.state.room = str(reply.get("room"))
            case ask.LeaveRoom():
                client.state.room = None
            case ask.SendMessage(to=to):
                client.state.names.users.add(*map(str, to))
            case (
                ask.JoinGroup(group=Address() as group)
                | ask.AcceptInvitation(group=Address() as group)
            ):
                # The list of groups is asked for later, and `chat` may be typed before its answer.
                client.state.names.my_groups.add(str(group))
            case _:
                return

    async def _afterwards(self, link: Link, todo: Request, reply: Reply) -> None:
        client, command = self._client, todo.command
        if not client.live:
            return
        if isinstance(command, ask.LogIn | ask.Register | ask.ResumeSession):
            await client.settle_in(link, again=False)
        elif isinstance(command, _INBOXES):
            for message in reply.get("messages", ())[-3:]:
                client.pictures.want(message)
            await client.count_unread(link)
        elif isinstance(
            command,
            ask.AddGroup
            | ask.JoinGroup
            | ask.AcceptInvitation
            | ask.LeaveGroup
            | ask.AddContact
            | ask.DeleteContact,
        ):
            await client.learn_names(link)
        if isinstance(command, ask.AcceptInvitation | ask.DeclineInvitation | ask.JoinGroup):
            await client.count_asking(link)

    async def _talk(self, link: Link, job: QueuedCommand, todo: SayInChat) -> None:
        """Send a line of a chat. A plain success is not reported."""
        client, place = self._client, todo.place
        if place.gone:
            client.out.note(tr("Not sent, because there is no chat with {name}: {line}",
                               name=place.name, line=job.name))  # fmt: skip
            return
        reply = await self._say(link, job, place, todo.text)
        if reply.get("code") == "unknown-user" and not place.sure and place.kind is Kind.USER:
            place.kind = Kind.GROUP
            other = await self._say(link, job, place, todo.text)
            if other["status"] == "OK":
                reply = other
            else:
                place.kind = Kind.USER
        if reply["status"] == "OK":
            place.sure = True
            client.state.note(reply.get("message_id", 0))
            client.state.caused(reply)
            told = client.state.chat is place and reply.get("message") == "Message sent"
            if told and client.live:
                return
        verb = "chat" if place.kind is Kind.USER else "sendgroup"
        self._finish(verb, reply, {"to": place.name, "group": place.name})

    async def _say(self, link: Link, job: QueuedCommand, place: Place, text: str) -> Reply:
        if place.kind is Kind.GROUP:
            return await self._send(link, job, "sendgroup", group=place.name, text=text)
        return await self._send(link, job, "send", to=place.name, text=text)

    async def _send(self, link: Link, job: QueuedCommand, verb: str, **arguments: Any) -> Reply:
        """Send a message under the key of its job and return the reply. Raises ConnectionLost, NotNow."""
        client = self._client
        try:
            async with asyncio.timeout(SEND_TIME if client.nodes.several else None):
                reply = await job.once.ask(link, verb, **arguments)
        except TimeoutError:
            link.abort()
            raise ConnectionLost from None
        if reply.get("code") in TEMPORARY and job.once.is_safe and client.reconnects:
            job.refusals += 1
            if job.refusals == 1:
                client.out.note(tr("The realm can't store this at the moment; it is sent again: {line}",
                                   line=job.name))  # fmt: skip
            if job.refusals <= MAX_REFUSALS:
                raise NotNow
        return reply

    async def _open(self, link: Link, place: Place) -> None:
        """Check that the conversation exists, and show its last and its unread messages."""
        client = self._client
        before = await self._history(link, place)
        if before["status"] != "OK":
            place.gone = True
            if client.state.chat is place:
                client.state.back()
            client.refuse(before)
            return
        messages = {each.get("id"): each for each in before.get("messages", ())}
        page = await link.ask("inbox", **{place.kind.value: place.name})
        while page["status"] == "OK":
            messages |= {each.get("id"): each for each in page.get("messages", ())}
            await client.count_unread(link)
            if not page.get("remaining"):
                break
            page = await link.ask("inbox", **{place.kind.value: place.name})
        for message in messages.values():
            client.state.see(message)
        client.state.threads.of(place.key).has_page(before)
        lines = [client.renderer.message(each) for each in messages.values()]
        head = tr("You are talking to {name}; back leaves", name=str(place))
        client.out.answered(before, [*lines, render.note(head)])

    async def _history(self, link: Link, place: Place) -> Reply:
        """The last messages. If the kind of the conversation was a guess, this settles it."""
        reply = await link.ask("history", **{place.kind.value: place.name, "n": BEFORE})
        if reply["status"] != "OK" and not place.sure:
            other = Kind.USER if place.kind is Kind.GROUP else Kind.GROUP
            second = await link.ask("history", **{other.value: place.name, "n": BEFORE})
            if second["status"] == "OK":
                place.kind = other
                reply = second
        place.sure = place.sure or reply["status"] == "OK"
        return reply

    async def _my_groups(self, link: Link) -> None:
        client = self._client
        reply = await link.ask("mygroups")
        if reply["status"] != "OK":
            client.refuse(reply)
            return
        client.learn("mygroups", reply)
        groups = reply.get("groups", [])
        client.state.names.numbered = tuple(str(each["group"]) for each in groups)
        client.answer("mygroups", reply, client.list_renderer.numbered_groups(groups))
