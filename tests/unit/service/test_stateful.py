"""Accounts, messages, groups and read marks, compared with a model in plain Python under random operations.

The service runs on a real SQLite file, but without threads: `InlineDatabase` commits each job at once and
`InstantPasswords` hash nothing, so that hypothesis can drive it step by step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import (
    AlreadyMember,
    Banned,
    ChatError,
    GroupExists,
    NotAdmin,
    NotMember,
    NotTheirGroup,
    UnknownGroup,
    UnknownUser,
    UserExists,
)
from chatd.base.model import Account, Message, Sent
from chatd.base.names import UNFILTERED, Address, InboxFilter, Place
from chatd.service.chat_service import ChatService
from chatd.service.home_invites import Invited
from chatd.store.schema import changes
from chatd.store.unread import marks_of
from tests import RANDOM_RUNS
from tests.support.common import same_bytes
from tests.support.inline import InlineDatabase, open_inline, outcome_of, result_of

NAMES = ("ana", "Budi", "citra", "dewi")
GROUP_NAMES = ("bagan", "Kelompok")
PASSWORD = "surabaya"
STEPS = 40  # of one run


class Letter(msgspec.Struct, frozen=True):
    """A message in the model."""

    number: int
    sender: str
    text: str


class Talk(msgspec.Struct):
    """A conversation in the model: its entries, and how far each participant has read. An entry is a message,
    or what happened to a member."""

    entries: list[Letter | tuple[str, str]] = []
    marks: dict[str, int] = {}

    @property
    def letters(self) -> list[Letter]:
        return letters_in(self.entries)


def letters_in(entries: Sequence[Letter | tuple[str, str]]) -> list[Letter]:
    return [each for each in entries if isinstance(each, Letter)]


class Team(msgspec.Struct):
    """A group in the model, with its members in the order in which they joined."""

    name: str
    code: str
    talk: Talk
    members: dict[str, bool]
    banned: set[str] = set()

    @property
    def address(self) -> Address:
        return Address(self.name)


def has_teams(machine: ChatMachine) -> bool:
    return bool(machine.teams)


def _facts(connection: Connection, conversation: int) -> list[tuple[int, tuple[str, str]]]:
    """What happened to members of a group, by the seq of the entry."""
    rows = connection.execute(
        select(changes.c.seq, changes.c.data)
        .where(changes.c.conversation_id == conversation, changes.c.kind == "member")
        .order_by(changes.c.seq)
    )
    found = [(seq, msgspec.json.decode(data)) for seq, data in rows]
    return [(seq, (each["who"], each["what"])) for seq, each in found]


class ChatMachine(RuleBasedStateMachine):
    """Operations on the service and on the model."""

    def __init__(self) -> None:
        super().__init__()
        self.holder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.clock.advance(1_000_000.0)
        self.random_bytes = same_bytes()
        self.service, self.database = self._open()
        self.accounts: dict[str, Account] = {}
        self.direct: dict[frozenset[str], Talk] = {}
        self.teams: dict[str, Team] = {}
        self.count = 0

    def _open(self) -> tuple[ChatService, InlineDatabase]:
        return open_inline(Path(self.holder.name), self.clock, self.random_bytes)

    def teardown(self) -> None:
        self.database.stop()
        self.holder.cleanup()

    @initialize()
    def begin(self) -> None:
        """Create three people, two of them in a group, so that every step has something to work on."""
        for name in NAMES[:3]:
            self.register(name)
        self._create(NAMES[0], GROUP_NAMES[0])
        self._join(NAMES[1], self.teams[GROUP_NAMES[0]], GROUP_NAMES[0])

    # Expected by the model

    def talks_of(self, name: str) -> list[tuple[str, Talk]]:
        """The conversations of `name`, by the other person or group."""
        found = [
            (next(iter(pair - {name}), name), talk)
            for pair, talk in self.direct.items()
            if name in pair
        ]
        found += [(each.name, each.talk) for each in self.teams.values() if name in each.members]
        return found

    def unread_in(self, name: str, talk: Talk) -> list[Letter]:
        after = letters_in(talk.entries[talk.marks.get(name, 0) :])
        return [letter for letter in after if letter.sender != name]

    def someone(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.accounts)), "who")

    def write(self, talk: Talk, sender: str) -> Letter:
        self.count += 1
        letter = Letter(self.count, sender, f"letter {self.count}")
        talk.entries.append(letter)
        return letter

    def next_text(self) -> str:
        return f"letter {self.count + 1}"

    def same(self, messages: Sequence[Message], letters: Sequence[Letter]) -> None:
        found = [(each.sender, each.text) for each in messages]
        assert found == [(each.sender, each.text) for each in letters], (found, letters)

    # Actions of people

    @rule(name=st.sampled_from(NAMES))
    def register(self, name: str) -> None:
        self.clock.advance(1)
        found = outcome_of(self.service.accounts.register(name, PASSWORD, None, None))
        if name in self.accounts:
            assert found is UserExists
        else:
            assert not found.account.operator
            self.accounts[name] = found.account

    @rule(data=st.data())
    def log_in(self, data: st.DataObject) -> None:
        name = self.someone(data)
        login = result_of(self.service.accounts.login(name.upper(), PASSWORD, "127.0.0.1"))
        assert login.account == self.accounts[name]
        assert result_of(self.service.accounts.resume(login.token)).account == login.account

    @rule(data=st.data(), to=st.lists(st.sampled_from((*NAMES, "nobody")), min_size=1, max_size=4))
    def send(self, data: st.DataObject, to: list[str]) -> None:
        sender = self.someone(data)
        self.clock.advance(1)
        text = self.next_text()
        addresses = [Address(name) for name in to]
        found = outcome_of(self.service.messages.send(self.accounts[sender], addresses, text, None))
        known = [name for name in dict.fromkeys(to) if name in self.accounts]
        if not known:
            assert found is UnknownUser
            return
        assert isinstance(found, Sent)
        assert set(found.refused) == set(to) - set(known)
        assert [each.to for each in found.receipts] == known
        letter = Letter(self.count + 1, sender, text)
        self.count += 1
        for name, receipt in zip(known, found.receipts, strict=True):
            talk = self.direct.setdefault(frozenset((sender, name)), Talk())
            talk.entries.append(letter)
            assert receipt.seq == len(talk.entries)

    @precondition(lambda self: len(self.teams) < len(GROUP_NAMES))
    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        free = [name for name in GROUP_NAMES if name not in self.teams]
        self._create(self.someone(data), data.draw(st.sampled_from(free), "group"))

    def _create(self, name: str, group: str) -> None:
        self.clock.advance(1)
        found = result_of(self.service.groups.create(self.accounts[name], group))
        assert found.code not in {team.code for team in self.teams.values()}
        talk = Talk([(name, "joined")], {name: 1})
        self.teams[group] = Team(group, found.code, talk, {name: True})

    def team(self, data: st.DataObject) -> Team:
        return self.teams[data.draw(st.sampled_from(sorted(self.teams)), "group")]

    def member(self, data: st.DataObject, team: Team) -> str:
        return data.draw(st.sampled_from(sorted(team.members)), "member")

    def admin(self, data: st.DataObject, team: Team) -> str:
        admins = [name for name, admin in sorted(team.members.items()) if admin]
        return data.draw(st.sampled_from(admins), "admin")

    @precondition(has_teams)
    @rule(data=st.data(), by_code=st.booleans())
    def join(self, data: st.DataObject, by_code: bool) -> None:
        team = self.team(data)
        others = sorted(self.accounts.keys() - team.members.keys() - team.banned)
        if others:
            name = data.draw(st.sampled_from(others), "who")
            self._join(name, team, (team.code if by_code else team.name).upper())

    def _join(self, name: str, team: Team, wanted: str) -> None:
        self.clock.advance(1)
        assert (
            result_of(self.service.groups.join(self.accounts[name], Address(wanted))).name
            == team.name
        )
        self._joined(team, name)

    def _joined(self, team: Team, name: str) -> None:
        team.members[name] = False
        team.banned.discard(name)
        team.talk.entries.append((name, "joined"))
        team.talk.marks[name] = len(team.talk.entries)

    @precondition(has_teams)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        team = self.team(data)
        name = self.member(data, team)
        result_of(self.service.groups.leave(self.accounts[name], Address(team.name.lower())))
        self._left(team, name, "left")

    def _left(self, team: Team, name: str, what: str) -> None:
        del team.members[name]
        team.talk.entries.append((name, what))
        if not team.members:
            del self.teams[team.name]
        elif not any(team.members.values()):
            heir = next(iter(team.members))
            team.members[heir] = True
            team.talk.entries.append((heir, "promoted"))

    @precondition(has_teams)
    @rule(data=st.data())
    def kick(self, data: st.DataObject) -> None:
        team = self.team(data)
        name, other = self.admin(data, team), self.member(data, team)
        result_of(self.service.groups.kick(self.accounts[name], team.address, Address(other)))
        self._left(team, other, "left" if other == name else "kicked")
        if other != name:
            team.banned.add(other)

    @precondition(has_teams)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        team = self.team(data)
        name, other = self.admin(data, team), self.member(data, team)
        result_of(
            self.service.groups.settings.promote(self.accounts[name], team.address, Address(other))
        )
        if not team.members[other]:
            team.talk.entries.append((other, "promoted"))
        team.members[other] = True

    @precondition(has_teams)
    @rule(data=st.data())
    def invite(self, data: st.DataObject) -> None:
        team = self.team(data)
        name, other = self.admin(data, team), self.someone(data)
        self.clock.advance(1)
        asked = self.service.groups.invite(self.accounts[name], team.address, [Address(other)])
        _, invited = result_of(asked)
        there = other in team.members
        assert invited == (Invited(present=(other,)) if there else Invited((other,)))
        if not there:
            team.talk.entries.append((other, "invited"))
            self._joined(team, other)

    @precondition(has_teams)
    @rule(data=st.data(), count=st.integers(1, 3))
    def post(self, data: st.DataObject, count: int) -> None:
        team = self.team(data)
        name = self.member(data, team)
        for _ in range(count):
            self.clock.advance(1)
            text, account = self.next_text(), self.accounts[name]
            sent = result_of(
                self.service.messages.post(account, Address(team.name.upper()), text, None)
            )
            self.write(team.talk, name)
            assert sent.receipts[0].seq == len(team.talk.entries)

    @rule(data=st.data(), group=st.sampled_from(GROUP_NAMES))
    def refused(self, data: st.DataObject, group: str) -> None:
        """Everything that someone may not do with a group is refused, and changes nothing."""
        name = self.someone(data)
        account, team = self.accounts[name], self.teams.get(group)
        groups, place, there = self.service.groups, Address(group), Address(name)
        refusals: dict[str, type[ChatError]]
        if team is None:
            refusals = dict.fromkeys(("join", "leave", "kick", "post"), UnknownGroup)
        elif name not in team.members:
            refusals = {"create": GroupExists, "leave": NotMember, "kick": NotMember}
            refusals["post"] = NotMember
            if name in team.banned:
                refusals["join"] = refusals["post"] = Banned
        else:
            refusals = {"create": GroupExists, "join": AlreadyMember}
            if not team.members[name]:
                refusals.update(kick=NotAdmin, promote=NotAdmin, invite=NotAdmin)
            else:
                for stranger in self.accounts.keys() - team.members.keys():
                    there = Address(stranger)
                    refusals.update(kick=NotTheirGroup, promote=NotTheirGroup)
        calls: dict[str, Callable[[], Any]] = {
            "create": lambda: groups.create(account, group),
            "join": lambda: groups.join(account, place),
            "leave": lambda: groups.leave(account, place),
            "kick": lambda: groups.kick(account, place, there),
            "promote": lambda: groups.settings.promote(account, place, there),
            "invite": lambda: groups.invite(account, place, [there]),
            "post": lambda: self.service.messages.post(account, place, "x", None),
        }
        for what, error in refusals.items():
            assert outcome_of(calls[what]()) is error, (what, name, group)

    @rule(data=st.data(), proof=st.booleans())
    def read_inbox(self, data: st.DataObject, proof: bool) -> None:
        """The inbox has all unread messages, oldest first. The marks move only once it is confirmed."""
        name = self.someone(data)
        account = self.accounts[name]
        page = result_of(self.service.reading.inbox(account, UNFILTERED, {}))
        expected = [
            letter for _, talk in self.talks_of(name) for letter in self.unread_in(name, talk)
        ]
        self.same(page.messages, sorted(expected, key=lambda letter: letter.number))
        self._given(name, page.messages, proof)

    @rule(data=st.data(), proof=st.booleans())
    def read_one(self, data: st.DataObject, proof: bool) -> None:
        """The unread messages of one conversation."""
        name = self.someone(data)
        places = self.talks_of(name)
        if not places:
            return
        where, talk = data.draw(st.sampled_from(places), "where")
        place = Place(group=Address(where)) if where in self.teams else Place(user=Address(where))
        page = result_of(self.service.reading.inbox(self.accounts[name], InboxFilter(place), {}))
        self.same(page.messages, self.unread_in(name, talk))
        self._given(name, page.messages, proof)

    def _given(self, name: str, messages: Sequence[Message], proof: bool) -> None:
        account = self.accounts[name]
        marks = marks_of(messages)
        # What was given and not yet proved is not given again to the same session.
        again = result_of(self.service.reading.inbox(account, UNFILTERED, marks))
        told = {each.id for each in messages}
        assert not told & {each.id for each in again.messages}
        if not proof:
            return
        result_of(self.service.reading.move_marks(account, marks))
        seqs = {(each.group or self._other(name, each)): each.seq for each in messages}
        for where, talk in self.talks_of(name):
            if where in seqs:
                talk.marks[name] = max(talk.marks.get(name, 0), seqs[where])

    @staticmethod
    def _other(name: str, message: Message) -> str:
        return message.sender if message.sender != name else message.to or name

    @rule(data=st.data(), count=st.integers(1, 4))
    def look_back(self, data: st.DataObject, count: int) -> None:
        """The end of a conversation's history; and a search, which finds only the account's own
        conversations."""
        name = self.someone(data)
        account = self.accounts[name]
        letters = []
        for where, talk in self.talks_of(name):
            place = (
                Place(group=Address(where)) if where in self.teams else Place(user=Address(where))
            )
            page = result_of(self.service.reading.history(account, place, count))
            self.same(page.messages, talk.letters[-count:])
            letters += [(letter.number, letter) for letter in talk.letters]
        page = result_of(self.service.reading.search(account, "LETTER"))
        letters.sort(key=lambda each: -each[0])
        self.same(page.messages, [letter for _, letter in letters])

    @rule()
    def reopen(self) -> None:
        """Stop the daemon, and start it again on its files."""
        self.service.quotas.save()
        self.database.stop()
        self.service, self.database = self._open()

    # Invariants

    @invariant()
    def seqs_have_no_gaps(self) -> None:
        """Each conversation holds the acknowledged messages and what happened to members, numbered 1, 2, 3
        and so on."""
        for pair, talk in self.direct.items():
            one, other = sorted(pair) if len(pair) == 2 else (*pair, *pair)
            place = Place(user=Address(other))
            self._whole(one, place, talk)
        for team in self.teams.values():
            self._whole(next(iter(team.members)), Place(group=team.address), team.talk)

    def _whole(self, name: str, place: Place, talk: Talk) -> None:
        page = result_of(self.service.reading.history(self.accounts[name], place, 500))
        numbered = list(enumerate(talk.entries, 1))
        letters = [seq for seq, entry in numbered if isinstance(entry, Letter)]
        assert [each.seq for each in page.messages] == letters
        self.same(page.messages, talk.letters)
        (conversation,) = {each.conversation for each in page.messages} or {None}
        if conversation is not None:
            found = result_of(self.database.read(_facts, conversation))
            assert found == [(seq, entry) for seq, entry in numbered if isinstance(entry, tuple)]

    @invariant()
    def counts_are_true(self) -> None:
        """The unread counts are those of the model."""
        for name, account in self.accounts.items():
            counts = result_of(self.service.reading.unread(account, {}))
            found = {each.group or each.user: each.unread for each in counts}
            expected = {
                where: len(letters)
                for where, talk in self.talks_of(name)
                if (letters := self.unread_in(name, talk))
            }
            assert found == expected, (name, found, expected)

    @invariant()
    def members_are_true(self) -> None:
        """Members and admins are those of the model, longest-standing first."""
        for account in list(self.accounts.values())[:1]:
            groups, more = result_of(self.service.groups.list(account, mine=False))
            assert more == 0
            assert {each.group: each.members for each in groups} == {
                team.name: len(team.members) for team in self.teams.values()
            }
        for team in self.teams.values():
            account = self.accounts[next(iter(team.members))]
            _, members = result_of(self.service.groups.members(account, team.address))
            assert [(each.username, each.admin) for each in members] == list(team.members.items())


class ModelTest(SynchronousTestCase):
    def test_service_behaves_like_the_model(self) -> None:
        """In any order of operations and restarts, the service behaves like the model."""
        run_state_machine_as_test(
            ChatMachine,
            settings=settings(
                max_examples=RANDOM_RUNS,
                stateful_step_count=STEPS,
                suppress_health_check=list(HealthCheck),
            ),
        )
