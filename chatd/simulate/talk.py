"""What people do with messages."""

from __future__ import annotations

from collections.abc import Callable

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.simulate.records import Forwarded, LastValue, Marked, TrackedRequest, Written
from chatd.simulate.world import World, content

EMOJI = ("👍", "🎉")
VERBS = (
    *("write",) * 8,
    *("reply", "reply", "edit", "edit", "edit", "delete", "delete", "react", "react"),
    *("forward", "pin", "read", "read", "inbox", "file", "again", "again", "nobody", "typing"),
)


class Talk:
    """Each call lets somebody do one thing. Chance chooses who, where and what."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self.verbs = [verb for verb in VERBS if verb == "write" or self._random.random() < 0.8]

    def act(self) -> None:
        world = self._world
        verb = self._random.choice(self.verbs)
        name = self._random.choice(list(world.people))
        if not world.is_open(name):
            return
        if verb == "again":
            self.again()
            return
        groups = [f"#{each}" for each in world.groups] * 3
        if places := [*world.friends_of(name), *groups]:
            getattr(self, verb)(name, self._random.choice(places))

    # Messages

    def _says(
        self, name: str, to: str, command: Callable[[str, str | None], ask.Command]
    ) -> TrackedRequest:
        """Write a message; `command` is made with its text and its key."""
        tag = self._new_tag()
        text = self._world.new_text(tag)
        key = f"key-{tag}" if self._random.random() < 0.5 else None
        asked = command(text, key)
        ordered = isinstance(asked, ask.SendMessage | ask.SendGroupMessage)
        request = self._world.asks(name, asked)
        self._note(Written(tag, name, to, text, request, ordered=ordered), text)
        return request

    def _new_tag(self) -> str:
        return f"m{len(self._world.written)}"

    def _note(self, written: Written, text: str) -> None:
        self._world.written[written.tag] = written
        self._world.texts.append((text, written))

    def write(self, name: str, to: str) -> None:
        address = self._world.address(to, name)
        for _ in range(self._random.choice((1, 1, 2, 4))):
            if to.startswith("#"):
                self._says(name, to, lambda text, key: ask.SendGroupMessage(address, text, key))
            else:
                self._says(name, to, lambda text, key: ask.SendMessage((address,), text, key))

    def nobody(self, name: str, _to: str) -> None:
        """Write to somebody who does not exist in another realm."""
        realm = self._random.choice(self._world.homes).name
        own = self._world.realm_of[name]
        if realm != own and not self._world.is_strange(own, realm):
            to = (Address("nobody", realm),)
            self._says(name, f"nobody@{realm}", lambda text, key: ask.SendMessage(to, text, key))

    def file(self, name: str, to: str) -> None:
        tag, address = self._new_tag(), self._world.address(to, name)
        person, file = self._world.people[name], f"{tag}.bin"
        key = f"key-{tag}" if self._random.random() < 0.5 else None
        target = f"#{address}" if to.startswith("#") else str(address)
        self._world.counts["files"] += 1
        request = self._world.begins(
            name,
            f"file {file} to {target}",
            lambda: person.begins_to_send_file(target, file, content(file), key),
            key,
        )
        self._note(Written(tag, name, to, file, request, file=True), file)

    def again(self) -> None:
        """A client with a new connection repeats a request, answered or not."""
        world = self._world
        found = [
            each
            for each in world.requests[-30:]
            if each.key is not None and not each.doubtful and world.is_open(each.name)
        ]
        if found:
            request = self._random.choice(found)
            world.trace.say(f"{request.name} sends {request.key} again")
            world.counts["sent again"] += 1
            request.send()

    def forward(self, name: str, to: str) -> None:
        """Forward a message of a conversation to a person, or to the group in which everybody stays."""
        if (found := self._pick(name, to)) is None:
            return
        written, seq = found
        steady = [f"#{each.name}" for each in self._world.groups.values() if each.steady]
        if not (targets := [*self._world.friends_of(name), *steady]):
            return
        target = self._random.choice(targets)
        key = f"key-f{len(self._world.forwards)}" if self._random.random() < 0.5 else None
        place = self._world.place(name, to), seq, self._world.place(name, target)
        request = self._world.asks(name, ask.ForwardMessage(*place, key))
        self._world.forwards.append(Forwarded(name, target, written, request))

    # Changes

    def _pick(self, name: str, to: str) -> tuple[Written, int] | None:
        """One of the newest messages that are not deleted, and its seq there."""
        rows = [row for row in self._world.rows(name, to) if row.text]
        if not rows:
            return None
        row = self._random.choice(rows[-6:])
        written = self._world.of_text(row.text)
        return None if written is None else (written, row.seq)

    def reply(self, name: str, to: str) -> None:
        if (found := self._pick(name, to)) is not None:
            place, seq = self._world.place(name, to), found[1]
            self._says(name, to, lambda text, key: ask.ReplyToMessage(place, seq, text, key))

    def edit(self, name: str, to: str) -> None:
        if (found := self._pick(name, to)) is None or found[0].file:
            return
        written, seq = found
        text = self._world.new_text(written.tag)
        request = self._world.asks(name, ask.EditMessage(self._world.place(name, to), seq, text))
        if written.author == name:
            written.text.set(text, request)
        self._world.texts.append((text, written))

    def delete(self, name: str, to: str) -> None:
        if (found := self._pick(name, to)) is None:
            return
        written, seq = found
        request = self._world.asks(name, ask.DeleteMessage(self._world.place(name, to), seq))
        if written.author == name:
            written.deleted.set(True, request)
        else:
            self._set_as_admin(written.deleted, True, request, to)

    def _set_as_admin(
        self, value: LastValue, to_set: bool, request: TrackedRequest, to: str
    ) -> None:
        """Note what only the admins of a group may set. In a steady one they stay admins."""
        group = self._world.groups.get(to[1:])
        if group is not None:
            promotions = self._world.promotions[group.name, request.name]
            is_creator = request.name == group.creator
            value.set(to_set, request, None if is_creator else promotions)

    def react(self, name: str, to: str) -> None:
        if (found := self._pick(name, to)) is not None:
            written, seq = found
            emoji, on = self._random.choice(EMOJI), self._random.random() < 0.7
            command = ask.ReactToMessage(self._world.place(name, to), seq, emoji, on)
            written.reactions[name, emoji].set(on, self._world.asks(name, command))

    def pin(self, name: str, to: str) -> None:
        if (found := self._pick(name, to)) is not None:
            written, seq = found
            on = self._random.random() < 0.7
            command = ask.PinMessage(self._world.place(name, to), seq, on)
            request = self._world.asks(name, command)
            self._set_as_admin(written.pinned, on, request, to)

    # Reading

    def read(self, name: str, to: str) -> None:
        if rows := self._world.rows(name, to):
            row = self._random.choice(rows[-6:])
            request = self._world.asks(name, ask.MarkRead(row.conversation_id, row.seq))
            written = self._world.of_text(row.text)
            mark = Marked(name, to, row.conversation_id, row.seq, written, request)
            self._world.marks.append(mark)

    def inbox(self, name: str, _to: str) -> None:
        self._world.asks(name, ask.ReadInbox())

    def typing(self, name: str, to: str) -> None:
        self._world.asks(name, ask.TellTyping(self._world.place(name, to)))
