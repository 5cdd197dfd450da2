"""Invitations within the realm: people who want to be asked get one, and others are members at once."""

from __future__ import annotations

from chatd.base.errors import (
    AlreadyMember,
    Banned,
    NotTheirGroup,
    UnknownGroup,
    UnknownInvitation,
)
from chatd.base.events import Invitation, MemberChange
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.service.home_invites import AT_ONCE, Invited
from chatd.store.invitations import DECLINED_FOR, LIFE
from tests.support.common import Listener
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase

BAGAN = Address("bagan")


class LocalInvitations(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.groups, self.invitations = self.service.groups, self.service.invitations
        self.group(self.ana)
        self.asks(self.budi)

    def asks(self, who: Account) -> None:
        result_of(self.service.privacy.choose(who, "invitations", False))

    def invite(self, *users: str) -> Invited:
        found = result_of(self.groups.invite(self.ana, BAGAN, [Address(each) for each in users]))
        invited: Invited = found[1]
        return invited

    def waiting(self, who: Account) -> list[tuple[str, str, str | None]]:
        found = result_of(self.invitations.list(who))
        return [(each.group, each.by, each.realm) for each in found]

    def members(self) -> list[str]:
        _, found = result_of(self.groups.members(self.ana, BAGAN))
        return [each.username for each in found]

    def test_asked(self) -> None:
        """An invitation is told once, and waits until it is accepted."""
        listener = Listener()
        self.service.presence.listen(self.budi.id, listener, True, all_events=True)
        for _ in range(2):
            self.assertEqual(self.invite("budi", "citra").asked, ("Budi",))
        self.assertEqual(self.members(), ["ana", "citra"])
        self.assertEqual(self.waiting(self.budi), [("bagan", "ana", None)])
        self.service.presence.flush()
        told = [each for each in listener.heard if isinstance(each, Invitation)]
        self.assertEqual([(each.group, each.by) for each in told], [("bagan", "ana")])
        self.assertEqual(listener.heard, told)  # nothing of the group's log
        result_of(self.groups.accept(self.budi, BAGAN, None))
        self.assertEqual(self.members(), ["ana", "citra", "Budi"])
        self.assertEqual(self.waiting(self.budi), [])
        self.assertEqual(self.invite("budi").present, ("budi",))

    def test_many(self) -> None:
        """They join in the order in which they are named, in several transactions."""
        names = [f"anak{number:02d}" for number in range(AT_ONCE + 2)]
        for name in names:
            self.account(name)
        found = self.invite("ana", *names[:2], "budi", *names[2:], "nobody", names[0])
        self.assertEqual(found.joined, tuple(names))
        self.assertEqual((found.present, found.asked), (("ana",), ("Budi",)))
        self.assertEqual((found.unknown, found.refused), (("nobody",), ()))
        self.assertEqual(self.members(), ["ana", *names])

    def test_joining_accepts(self) -> None:
        self.invite("budi")
        result_of(self.groups.join(self.budi, BAGAN))
        self.assertEqual(self.waiting(self.budi), [])
        self.assertIs(outcome_of(self.groups.accept(self.budi, BAGAN)), UnknownInvitation)
        self.assertIs(outcome_of(self.groups.join(self.budi, BAGAN)), AlreadyMember)

    def test_expired(self) -> None:
        """Once their invitation has expired, a person does not know the private group any more."""
        result_of(self.groups.settings.set(self.ana, BAGAN, {"visibility": "private"}))
        self.invite("budi")
        self.clock.advance(LIFE / 1000 + 1)
        self.assertIs(outcome_of(self.groups.join(self.budi, BAGAN)), UnknownGroup)
        self.invite("budi")
        self.assertEqual(result_of(self.groups.join(self.budi, BAGAN)).name, "bagan")

    def test_withdrawn(self) -> None:
        """A kick withdraws an invitation, and tells the invited person; nothing is written to the log."""
        listener = Listener()
        self.service.presence.listen(self.budi.id, listener, True, all_events=True)
        self.invite("budi")
        _, was_member = result_of(self.groups.kick(self.ana, BAGAN, Address("budi")))
        self.assertFalse(was_member)
        self.service.presence.flush()
        told = [each for each in listener.heard if isinstance(each, MemberChange)]
        self.assertEqual(
            [(each.conversation, each.seq, each.sentence) for each in told],
            [(0, 0, "Your invitation to bagan was withdrawn")],
        )
        self.assertEqual(self.waiting(self.budi), [])
        self.assertIs(outcome_of(self.groups.accept(self.budi, BAGAN)), UnknownInvitation)
        self.assertIs(outcome_of(self.groups.join(self.budi, BAGAN)), Banned)
        kick = self.groups.kick(self.ana, BAGAN, Address("budi"))
        self.assertIs(outcome_of(kick), NotTheirGroup)

    def test_withdrawn_after_it_was_declined(self) -> None:
        """The admin does not learn that, and the person is not asked again."""
        self.invite("budi")
        result_of(self.invitations.decline(self.budi, BAGAN))
        result_of(self.groups.kick(self.ana, BAGAN, Address("budi")))
        self.invite("budi")
        self.assertEqual(self.waiting(self.budi), [])

    def test_declined(self) -> None:
        self.invite("budi")
        result_of(self.invitations.decline(self.budi, BAGAN))
        self.invite("budi")
        self.assertEqual(self.waiting(self.budi), [])
        self.assertEqual(self.members(), ["ana"])

    def test_again_after_a_week(self) -> None:
        """Another invitation is shown a week after the one that was declined, and told once."""
        self.invite("budi")
        result_of(self.invitations.decline(self.budi, BAGAN))
        listener = Listener()
        self.service.presence.listen(self.budi.id, listener, True, all_events=True)
        for seconds, shown in ((DECLINED_FOR / 1000 - 1, 0), (1, 1), (1, 1)):
            self.clock.advance(seconds)
            self.assertEqual(self.invite("budi").asked, ("Budi",))
            self.service.presence.flush()
            self.assertEqual(len(self.waiting(self.budi)), shown)
            self.assertEqual(len(listener.heard), shown)
        result_of(self.groups.accept(self.budi, BAGAN, None))
        self.assertEqual(self.members(), ["ana", "Budi"])


class Codes(MessagesTestCase):
    def test_members_only(self) -> None:
        """The code of a group is shown with a message to members only."""
        self.group(self.ana)
        for who, known in ((self.ana, True), (self.budi, False)):
            code = result_of(self.service.groups.code_of(who, BAGAN))
            self.assertIs(bool(code), known)
