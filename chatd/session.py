"""Who is logged in on a connection, and what becomes of the commands that arrive there.

A `Session` is what a login opens; it outlives its connections, and several may use it at once. A `Client`
is one connection's side of the service: it checks a command's preconditions, once, and calls the service.

Read marks move when the client has proved that it got what it read: by its next command on the session,
by logging out, or by closing its connection cleanly. A command that was sent along with the inbox itself
proves nothing yet, but is not given the same messages again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd import commands as ask
from chatd.accounts import Login
from chatd.errors import NotInRoom, NotLoggedIn, UnknownCommand, every_error
from chatd.files import Download, Upload
from chatd.messages import Content, Sent
from chatd.model import Account, Message, Reply, SessionEnded
from chatd.names import Address, Place, printable
from chatd.presence import IListener
from chatd.service import ChatService
from chatd.store.messages import Page
from chatd.throttle import TokenBucket

BURST_SECONDS = 5  # a session may save up that many seconds' worth of commands

log = Logger()


class Session:
    """A login. `number` stands for it in the log, since the token must not."""

    def __init__(self, service: ChatService, login: Login, number: int) -> None:
        rate = service.config.limits.commands_per_second
        self.account: Account = login.account
        self.token_hash = login.token_hash
        self.number = number
        self.bucket = TokenBucket(rate, rate * BURST_SECONDS)
        self.clients: list[Client] = []
        # conversation -> seq: handed out, not yet proved to have arrived; and proved, not yet on disk.
        self.given: dict[int, int] = {}
        self.given_by: tuple[Client, int] | None = None
        self.proved: dict[int, int] = {}

    def marks(self) -> dict[int, int]:
        """How far this session has read beyond the marks that are on disk."""
        return {**self.proved, **self.given}

    def give(self, messages: tuple[Message, ...] | list[Message], client: Client) -> None:
        for message in messages:
            conversation = message.conversation
            self.given[conversation] = max(message.seq, self.given.get(conversation, 0))
        if messages:
            self.given_by = (client, client.moment)


class Sessions:
    """The sessions that some connection uses now."""

    def __init__(self, service: ChatService) -> None:
        self._service = service
        self._by_token: dict[bytes, Session] = {}
        self._opened = 0

    def attach(self, login: Login, client: Client) -> Session:
        session = self._by_token.get(login.token_hash)
        if session is None:
            self._opened += 1
            session = Session(self._service, login, self._opened)
            self._by_token[login.token_hash] = session
        session.clients.append(client)
        return session

    def detach(self, session: Session, client: Client) -> None:
        if client in session.clients:
            session.clients.remove(client)
        if not session.clients:
            self._by_token.pop(session.token_hash, None)

    def of_account(self, account: Account) -> list[Session]:
        return [each for each in self._by_token.values() if each.account.id == account.id]


class Receive(msgspec.Struct, frozen=True):
    """Instead of a reply: take the bytes of a file for `upload`, then ask `finish` for the reply."""

    upload: Upload
    finish: Callable[[], Coroutine[Any, Any, Reply]]


class Give(msgspec.Struct, frozen=True):
    """A reply, and the file whose bytes follow it."""

    reply: Reply
    download: Download


class Leave(msgspec.Struct, frozen=True):
    """A reply, after which the connection is to be closed."""

    reply: Reply


Result = Reply | Receive | Give | Leave
C = TypeVar("C", bound=ask.Command)
Handler = Callable[["Client", Any], Any]
_HANDLERS: dict[type[ask.Command], Handler] = {}


def handles(
    command: type[C],
) -> Callable[[Callable[[Client, C], Any]], Callable[[Client, C], Any]]:
    """Mark a method of Client as what carries out `command`."""

    def register(method: Callable[[Client, C], Any]) -> Callable[[Client, C], Any]:
        _HANDLERS[command] = method
        return method

    return register


class Client:
    """One connection's side of the service. `source` is its network address and `number` its own, for the
    log; `drained` is called when a paused upload may go on."""

    def __init__(
        self,
        service: ChatService,
        sessions: Sessions,
        listener: IListener,
        source: str,
        number: int,
        drained: Callable[[], None],
    ) -> None:
        self.service = service
        self.session: Session | None = None
        # Counts what arrives on the connection; the protocol moves it on.
        self.moment = 0
        self._sessions = sessions
        self._listener = listener
        self._source = source
        self._number = number
        self._gone = False
        self._drained = drained

    def execute(self, command: ask.Command) -> Any:
        """Carry out `command`: a Result, or a Deferred of one. Raises ChatError, or errs with it."""
        session = self.session
        if session is None:
            if ask.BY_COMMAND[type(command)].login:
                raise NotLoggedIn
        elif session.given and session.given_by != (self, self.moment):
            self._prove(session)
        result = _HANDLERS[type(command)](self, command)
        if type(result) is CoroutineType:
            return Deferred.fromCoroutine(result)
        return result

    def leave(self, clean: bool) -> None:
        """The connection is gone. What was handed out on it counts as read only if it was closed cleanly."""
        self._gone = True
        self._let_go(clean)

    def _let_go(self, clean: bool) -> None:
        session = self.session
        if session is None:
            return
        if session.given_by is not None and session.given_by[0] is self:
            if clean:
                self._prove(session)
            else:
                session.given.clear()
                session.given_by = None
        self._detach()

    @property
    def account(self) -> Account:
        return self._logged_in.account

    @property
    def _logged_in(self) -> Session:
        if self.session is None:
            raise NotLoggedIn
        return self.session

    # Sessions

    def _attach(self, login: Login) -> None:
        if self.session is not None:
            self._let_go(clean=True)
        if self._gone:
            return  # it ended while the password was checked; the session waits to be resumed
        session = self.session = self._sessions.attach(login, self)
        log.info(
            "session {session} of {account} on connection {connection} from {source}",
            session=session.number,
            account=login.account.name,
            connection=self._number,
            source=self._source,
        )
        self.service.presence.arrive(login.account.id, self._listener)

    def _detach(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            self.service.rooms.leave(self._listener)
            self.service.presence.leave(session.account.id, self._listener)
            self._sessions.detach(session, self)

    def _prove(self, session: Session) -> None:
        """What was handed out has arrived: move the marks."""
        marks, session.given = session.given, {}
        session.given_by = None
        if not marks:
            return
        session.proved.update(marks)

        def moved(_result: object) -> None:
            for conversation, seq in marks.items():
                if session.proved.get(conversation) == seq:
                    del session.proved[conversation]

        moving = Deferred.fromCoroutine(self.service.messages.move_marks(session.account, marks))
        moving.addErrback(
            lambda failure: log.failure("read marks were not moved; they stay unread", failure)
        )
        moving.addCallback(moved)

    def _end_others(self, sessions: list[Session], reason: str) -> None:
        for session in sessions:
            for client in list(session.clients):
                if client is not self:
                    client._detach()
                    client._listener.deliver((SessionEnded(reason),))

    @handles(ask.Register)
    async def _register(self, command: ask.Register) -> Reply:
        login = await self.service.accounts.register(
            command.username, command.password, command.name, command.country
        )
        return self._welcome(login, "Welcome")

    @handles(ask.Auth)
    async def _auth(self, command: ask.Auth) -> Reply:
        login = await self.service.accounts.login(command.username, command.password, self._source)
        return self._welcome(login, "Welcome")

    @handles(ask.Resume)
    async def _resume(self, command: ask.Resume) -> Reply:
        login = await self.service.accounts.resume(command.token)
        return self._welcome(login, "Welcome back")

    def _welcome(self, login: Login, greeting: str) -> Reply:
        self._attach(login)
        account = login.account
        return Reply(
            f"{greeting}, {account.display_name}",
            {} if login.token is None else {"tokenId": login.token},
            {"username": account.name, "name": account.display_name},
        )

    @handles(ask.Logout)
    async def _logout(self, _command: ask.Logout) -> Reply:
        session = self._logged_in
        self._prove(session)
        await self.service.accounts.end_session(session.token_hash)
        self._end_others([session], "This session was logged out on another connection")
        self._detach()
        return Reply(f"Goodbye, {session.account.display_name}")

    @handles(ask.ChangePassword)
    async def _change_password(self, command: ask.ChangePassword) -> Reply:
        session = self._logged_in
        await self.service.accounts.change_password(
            session.account, command.old, command.new, session.token_hash, self._source
        )
        others = [
            each for each in self._sessions.of_account(session.account) if each is not session
        ]
        self._end_others(others, "The password was changed; log in again")
        return Reply("The password is changed, and your other sessions have ended")

    @handles(ask.WhoAmI)
    def _who_am_i(self, _command: ask.WhoAmI) -> Reply:
        account = self.account
        return Reply(
            f"You are {account.name}",
            {
                "username": account.name,
                "name": account.display_name,
                "country": account.country,
                "operator": account.operator,
            },
        )

    # People

    @handles(ask.Info)
    async def _info(self, _command: ask.Info) -> Reply:
        users = await self.service.accounts.active()
        return Reply(f"{_count(users, 'user')} active", items=users, items_name="users")

    @handles(ask.Users)
    async def _users(self, _command: ask.Users) -> Reply:
        users = await self.service.accounts.users()
        return Reply(_count(users, "user"), items=users, items_name="users")

    @handles(ask.Contacts)
    async def _contacts(self, _command: ask.Contacts) -> Reply:
        contacts = await self.service.accounts.contacts(self.account)
        return Reply(_count(contacts, "contact"), items=contacts, items_name="contacts")

    @handles(ask.AddContact)
    async def _add_contact(self, command: ask.AddContact) -> Reply:
        address = await self.service.accounts.add_contact(self.account, command.user)
        return Reply(f"{address} is on your list of contacts")

    @handles(ask.DeleteContact)
    async def _delete_contact(self, command: ask.DeleteContact) -> Reply:
        await self.service.accounts.delete_contact(self.account, command.user)
        return Reply(f"{command.user} is off your list of contacts")

    # Messages

    @handles(ask.Send)
    def _send(self, command: ask.Send) -> Deferred[Reply]:
        return self._send_to_people(command.to, command.text)

    @handles(ask.SendGroup)
    def _send_group(self, command: ask.SendGroup) -> Deferred[Reply]:
        if not isinstance(command.group, str):
            return self._send_to_people(command.group, command.text)
        messages = self.service.messages
        messages.check_text(command.text)
        sent = messages.post(self.account, command.group, Content(command.text), self._listener)
        return sent.addCallback(_message_sent)

    def _send_to_people(self, to: tuple[Address, ...], text: str) -> Deferred[Reply]:
        messages = self.service.messages
        messages.check_text(text)
        sent = messages.send(self.account, to, Content(text), self._listener)
        return sent.addCallback(_message_sent if len(to) == 1 else _messages_sent)

    @handles(ask.Inbox)
    async def _inbox(self, command: ask.Inbox) -> Reply:
        return await self._read_inbox(command.place, command.peek)

    @handles(ask.InboxGroup)
    async def _inbox_group(self, command: ask.InboxGroup) -> Reply:
        return await self._read_inbox(Place(group=command.group), peek=False)

    async def _read_inbox(self, place: Place | None, peek: bool) -> Reply:
        session = self._logged_in
        page = await self.service.messages.inbox(session.account, place, session.marks())
        if not peek:
            session.give(page.messages, self)
        return _page(page)

    @handles(ask.Unread)
    async def _unread(self, _command: ask.Unread) -> Reply:
        session = self._logged_in
        counts = await self.service.messages.unread(session.account, session.marks())
        total = sum(each.unread for each in counts)
        return Reply(
            f"{total} unread in {_count(counts, 'conversation')}",
            items=counts,
            items_name="conversations",
        )

    @handles(ask.Read)
    async def _read(self, command: ask.Read) -> Reply:
        await self.service.messages.mark_read(self.account, command.conversation, command.seq)
        return Reply("The conversation is marked as read")

    @handles(ask.History)
    async def _history(self, command: ask.History) -> Reply:
        return _page(await self.service.messages.history(self.account, command.place, command.n))

    @handles(ask.Search)
    async def _search(self, command: ask.Search) -> Reply:
        return _page(await self.service.messages.search(self.account, command.text))

    # Groups

    @handles(ask.AddGroup)
    async def _add_group(self, command: ask.AddGroup) -> Reply:
        group = await self.service.groups.create(self.account, command.group)
        return Reply(
            f"The group {group.name} is made; others join it by its name or its code",
            {"group": group.name, "groupcode": group.code},
            {"conversation": group.id},
        )

    @handles(ask.JoinGroup)
    async def _join_group(self, command: ask.JoinGroup) -> Reply:
        group = await self.service.groups.join(self.account, command.group)
        return Reply(
            f"You are a member of {group.name}",
            {"group": group.name},
            {"conversation": group.id},
        )

    @handles(ask.LeaveGroup)
    async def _leave_group(self, command: ask.LeaveGroup) -> Reply:
        group = await self.service.groups.leave(self.account, command.group)
        return Reply(f"You have left {group.name}", {"group": group.name})

    @handles(ask.Groups)
    async def _groups(self, _command: ask.Groups) -> Reply:
        groups = await self.service.groups.all(self.account)
        return Reply(_count(groups, "group"), items=groups, items_name="groups")

    @handles(ask.MyGroups)
    async def _my_groups(self, _command: ask.MyGroups) -> Reply:
        groups = await self.service.groups.mine(self.account)
        return Reply(_count(groups, "group"), items=groups, items_name="groups")

    @handles(ask.Members)
    async def _members(self, command: ask.Members) -> Reply:
        group, members = await self.service.groups.members(self.account, command.group)
        return Reply(
            f"{_count(members, 'member')} in {group.name}",
            {"group": group.name},
            items=members,
            items_name="members",
        )

    @handles(ask.Invite)
    async def _invite(self, command: ask.Invite) -> Reply:
        group, joined, present, unknown = await self.service.groups.invite(
            self.account, command.group, command.users
        )
        sentence = f"{len(joined)} invited to {group.name}"
        if present:
            sentence += f"; members already: {', '.join(present)}"
        if unknown:
            sentence += f"; unknown: {', '.join(unknown)}"
        data = {"joined": joined, "members": present, "unknown": unknown}
        return Reply(sentence, {"group": group.name}, data)

    @handles(ask.Kick)
    async def _kick(self, command: ask.Kick) -> Reply:
        group = await self.service.groups.kick(self.account, command.group, command.user)
        return Reply(f"{command.user} is no longer in {group.name}", {"group": group.name})

    @handles(ask.Promote)
    async def _promote(self, command: ask.Promote) -> Reply:
        group = await self.service.groups.promote(self.account, command.group, command.user)
        return Reply(f"{command.user} is an admin of {group.name}", {"group": group.name})

    @handles(ask.CloseGroup)
    async def _close_group(self, command: ask.CloseGroup) -> Reply:
        group = await self.service.groups.set_closed(self.account, command.group, closed=True)
        return Reply(f"Only members may post to {group.name} now", {"group": group.name})

    @handles(ask.OpenGroup)
    async def _open_group(self, command: ask.OpenGroup) -> Reply:
        group = await self.service.groups.set_closed(self.account, command.group, closed=False)
        return Reply(f"People of other realms may post to {group.name}", {"group": group.name})

    # Files

    @handles(ask.SendFile)
    async def _send_file(self, command: ask.SendFile) -> Receive:
        return await self._receive(command.to, command.filename, command.size)

    @handles(ask.SendGroupFile)
    async def _send_group_file(self, command: ask.SendGroupFile) -> Receive:
        return await self._receive(command.group, command.filename, command.size)

    async def _receive(self, to: tuple[Address, ...] | str, name: str, size: int) -> Receive:
        upload = await self.service.files.begin(
            self.account, to, name, size, self._drained, self._listener
        )
        single = isinstance(to, str) or len(to) == 1

        async def finish() -> Reply:
            file, sent = await upload.finish()
            receipt = _receipts(sent, single)
            return Reply(
                f"File sent{_but_unknown(sent)}",
                {"name": file.name, "size": file.size, "sha256": file.sha256, "code": file.code},
                {**receipt, "mime": file.mime},
            )

        return Receive(upload, finish)

    @handles(ask.Files)
    async def _files(self, _command: ask.Files) -> Reply:
        files = await self.service.files.list(self.account)
        return Reply(_count(files, "file"), items=files, items_name="files")

    @handles(ask.GetFile)
    async def _get_file(self, command: ask.GetFile) -> Give:
        download = await self.service.files.fetch(self.account, command.code)
        file = download.attachment
        reply = Reply(
            f"{file.size} bytes follow",
            {"name": file.name, "size": file.size, "sha256": file.sha256},
            {"code": file.code, "mime": file.mime},
        )
        return Give(reply, download)

    # Rooms

    @handles(ask.RoomJoin)
    def _room_join(self, command: ask.RoomJoin) -> Reply:
        info = self.service.rooms.join(self._listener, self.account, command.room)
        sentence = f"You are in {info.room} with {_count(info.users, 'user')}"
        return Reply(sentence, {"room": info.room}, {"users": info.users})

    @handles(ask.RoomChat)
    def _room_chat(self, command: ask.RoomChat) -> Reply:
        self.service.messages.check_text(command.text)
        info = self.service.rooms.talk(self._listener, command.text, self.service.accounts.now())
        return Reply(f"Said in {info.room}", {"room": info.room})

    @handles(ask.RoomLeave)
    def _room_leave(self, _command: ask.RoomLeave) -> Reply:
        room = self.service.rooms.leave(self._listener)
        if room is None:
            raise NotInRoom
        return Reply(f"You have left {room}", {"room": room})

    @handles(ask.Rooms)
    def _rooms(self, _command: ask.Rooms) -> Reply:
        rooms = self.service.rooms.all()
        return Reply(_count(rooms, "room"), items=rooms, items_name="rooms")

    # The rest

    @handles(ask.Listen)
    def _listen(self, command: ask.Listen) -> Reply:
        self.service.presence.listen(self.account.id, self._listener, command.on)
        state = "Messages are shown" if command.on else "Messages are not shown"
        return Reply(f"{state} as they arrive", {"listening": command.on})

    @handles(ask.Help)
    def _help(self, command: ask.Help) -> Reply:
        if command.verb is None:
            rows = ask.TABLE
        elif command.verb in ask.BY_VERB:
            rows = (ask.BY_VERB[command.verb],)
        else:
            raise UnknownCommand(verb=printable(command.verb))
        return Reply(
            _count(rows, "command"),
            data={"errors": {error.code: error.sentence for error in every_error()}},
            items=tuple(map(ask.describe, rows)),
            items_name="commands",
        )

    @handles(ask.Ping)
    def _ping(self, _command: ask.Ping) -> Reply:
        return Reply("pong")

    @handles(ask.Quit)
    def _quit(self, _command: ask.Quit) -> Leave:
        return Leave(Reply("Goodbye"))


def _count(things: Any, noun: str) -> str:
    return f"1 {noun}" if len(things) == 1 else f"{len(things)} {noun}s"


def _page(page: Page) -> Reply:
    sentence = _count(page.messages, "message")
    fields: dict[str, str | int | bool] = {}
    if page.remaining:
        sentence += f", {page.remaining} more remain"
        fields["remaining"] = page.remaining
    return Reply(sentence, fields, {"remaining": page.remaining}, tuple(page.messages), "messages")


def _but_unknown(sent: Sent) -> str:
    return f"; there is no user {', '.join(sent.unknown)}" if sent.unknown else ""


def _receipts(sent: Sent, single: bool) -> dict[str, Any]:
    """Where what was sent stands: for one, its conversation, seq and id; for a list, a list of them."""
    if single:
        receipt = sent.receipts[0]
        return {
            "conversation": receipt.conversation,
            "seq": receipt.seq,
            "id": receipt.id,
        }
    return {"sent": sent.receipts, "unknown": sent.unknown}


def _message_sent(sent: Sent) -> Reply:
    return Reply("Message sent", data=_receipts(sent, single=True))


def _messages_sent(sent: Sent) -> Reply:
    return Reply(f"Message sent{_but_unknown(sent)}", data=_receipts(sent, single=False))
