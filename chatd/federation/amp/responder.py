"""Answers the requests of the realm at the other end of a link."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence, Sized
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from chatd.base.errors import (
    CertificateChanged,
    ChatError,
    OtherVersion,
    RealmNotAllowed,
    RealmQuota,
)
from chatd.base.names import MAX_NAME, printable
from chatd.base.timers import Signal
from chatd.federation.amp import contents, wire
from chatd.federation.amp.flow_control import Pause
from chatd.federation.amp.link_state import LinkState
from chatd.federation.amp.wire import Introduction, Refused
from chatd.federation.guest_lists import GuestList
from chatd.federation.parcel_fields import MAX_NUMBER, MAX_SEQ
from chatd.federation.parcels import Direct, Parcel, Relay, encode
from chatd.federation.refusals import verdict_of
from chatd.federation.rescue_parts import decode_follow, decode_rescue
from chatd.federation.restores import Returned
from chatd.federation.returning_posts import ReturningPosts
from chatd.service.remote import TheirState
from chatd.store.parcel_stream import ParcelStream
from chatd.store.past_pages import PastQuestion

if TYPE_CHECKING:
    from chatd.federation.amp.link import PeerLink

MAX_BUSY = 32  # requests of one link that are being answered; beyond that the link is not read
PAST_COST = 10  # requests that a page of a group's past counts
# Seconds for which a link is not read after messages beyond its realm's quota. All batches that the realm
# has under way (16) must be answered within 30 s.
QUOTA_PAUSE = 1.0

Listed = TypeVar("Listed", bound=Sized)

log = Logger()


def _answers(command: type[wire.PeerCommand]) -> Callable[[Callable[..., Any]], Any]:
    """Make a coroutine function the responder of `command`. The request costs one for each of its `users`."""

    def register(work: Callable[..., Coroutine[Any, Any, dict[str, Any]]]) -> Any:
        def respond(self: Responder, **arguments: Any) -> Deferred[Any]:
            cost = max(1, len(arguments.get("users", ())))
            return self._answer(lambda: work(self, **arguments), cost)

        return command.responder(respond)

    return register


def _sender_of(parcel: Parcel | None, posts: ReturningPosts) -> str | None:
    """The sender of a parcel, if it has one and is not a message of this realm that comes back."""
    if type(parcel) is Relay and parcel.entry.statement in posts:
        return None
    return getattr(parcel, "sender", None)


class Responder(amp.CommandLocator):
    """The commands that `link` answers. AMP's own commands are not among them."""

    def __init__(self, link: PeerLink) -> None:
        self._link = link
        self._stream = ParcelStream()
        self._busy = 0
        self._up = Signal()  # requests that came before this end was up wait for it

    def link_up(self) -> None:
        """Answer the requests that came before the link was up."""
        self._up.notify()
        self._link.flow.resume(Pause.EARLY)

    def end(self) -> None:
        """The link is gone."""
        self._up = Signal()
        self._stream.end()

    def malformed(self, failure: Failure) -> Any:
        """Handle a request with an unknown command, or with arguments that can't be decoded."""
        if failure.check(amp.RemoteAmpError):
            return failure
        kind = type(failure.value).__name__
        self._link.protocol_error(f"arguments that can't be decoded ({kind})")
        raise amp.RemoteAmpError(amp.UNKNOWN_ERROR_CODE, "bad arguments")

    def _answer(
        self,
        work: Callable[[], Coroutine[Any, Any, dict[str, Any]]],
        cost: int = 1,
        senders: Sequence[str] = (),
    ) -> Deferred[Any]:
        """Answer a request with what `work` returns. Every exception becomes a Refused, because others would
        end the link. The request counts as `cost` requests of the realm, and as a message of each of
        `senders`."""
        link, flow = self._link, self._link.flow
        match link.link_state:
            case LinkState.UP:
                pass
            case LinkState.GREETED:
                # The other end is up once it has answered, and this end will be soon. A refusal now would
                # overtake the answers to what comes then.
                waiting = self._up.wait()
                if len(self._up) >= MAX_BUSY:
                    flow.pause(Pause.EARLY)
                return waiting.addCallback(lambda _: self._answer(work, cost, senders))
            case _:
                return fail(Refused("not-greeted"))
        if cost > 1:
            flow.take(cost - 1)
        if senders:
            now = link.host.clock.seconds()
            flow.slow(link.host.sender_rates.take(link.realm, senders, now))
        self._busy += 1
        if self._busy >= MAX_BUSY:
            flow.pause(Pause.BUSY)
        return Deferred.fromCoroutine(work()).addBoth(self._answered)

    def _answer_decoded(
        self,
        decode: Callable[[bytes], Listed],
        data: bytes,
        work: Callable[[Listed], Coroutine[Any, Any, dict[str, Any]]],
    ) -> Deferred[Any]:
        """Answer a request with what `work` returns for the decoded list `data`. The request costs one for
        each of its items."""
        try:
            listed = decode(data)
        except Refused as refused:
            return fail(refused)
        return self._answer(lambda: work(listed), max(1, len(listed)))

    def _answered(self, result: Any) -> Any:
        self._busy -= 1
        if self._busy <= MAX_BUSY // 2:
            self._link.flow.resume(Pause.BUSY)
        return self._refusal(result) if isinstance(result, Failure) else result

    def _refusal(self, result: Failure) -> Failure:
        """Turn any exception into a Refused."""
        if result.check(Refused):
            return result
        if isinstance(result.value, ChatError):
            verdict = verdict_of(result.value)
            raise Refused(verdict.code, **verdict.details)
        reference = self._link.host.context.new_reference()
        log.failure(
            "internal error {reference}, asked for by {realm}",
            result,
            reference=reference,
            realm=self._link.realm,
        )
        raise Refused(wire.INTERNAL, reference=reference)

    @wire.HelloCommand.responder
    def hello(self, **said: Any) -> Deferred[Any]:
        link = self._link
        if link.dialled or link.link_state is not LinkState.AUTHENTICATED:
            return fail(Refused("already-greeted"))
        link.greeted()
        greeting = Deferred.fromCoroutine(self._greet_back(Introduction(**said)))
        return greeting.addErrback(self._refusal)

    async def _greet_back(self, other: Introduction) -> dict[str, Any]:
        link, clock = self._link, self._link.host.clock
        try:
            own = await link.host.introduce_to(link.realm)
            await link.accept(other)
        except Refused as refused:
            if refused.code == "wrong-name":
                link.warn(f"the realm at {link.route.address} is not let in: {refused.code}")
            clock.callLater(0, link.close)  # after the answer
            raise
        except (RealmNotAllowed, CertificateChanged, OtherVersion) as error:
            link.reject(error)
            raise Refused(error.code) from None
        except Exception:
            clock.callLater(0, link.close)
            raise
        clock.callLater(0, link.come_up)  # the answer must be sent before anything else
        return msgspec.structs.asdict(own)

    @wire.GoodbyeCommand.responder
    def goodbye(self, code: str, reason: str) -> dict[str, Any]:
        link = self._link
        if not link.is_up:
            shown = reason or "it does not trust the certificate of this realm"
            where = link.route.expected or link.realm
            link.reason = RealmNotAllowed(
                realm="this realm", where=where, reason=printable(shown, 300)
            )
            link.warn(f"{link.realm} does not let this realm in: {printable(code)}")
        return {}

    @_answers(wire.PingCommand)
    async def ping(self) -> dict[str, Any]:
        return {}

    @_answers(wire.RestCommand)
    async def rest(self) -> dict[str, Any]:
        return {"agreed": await self._link.host.resting.asked(self._link)}

    @_answers(wire.TypingCommand)
    async def typing(self, sender: str, to: str) -> dict[str, Any]:
        link = self._link
        await link.host.federation.news.typing(link.realm, sender, to)
        return {}

    @wire.DeliverCommand.responder
    def deliver(self, parcels: bytes) -> Deferred[Any]:
        link = self._link

        async def work() -> dict[str, Any]:
            federation, realm = link.host.federation, link.realm
            verdicts = await federation.receiver.receive(realm, batch, self._stream)
            if batch and link.is_up:  # else there is no answer, and they come again
                federation.standings.received(realm, max(batch, key=itemgetter(0))[0])
            if link.is_up and RealmQuota.code in [each.code for each in verdicts]:
                link.flow.slow(QUOTA_PAUSE)
            return {"verdicts": contents.encode_verdicts(verdicts)}

        try:
            batch = contents.decode_batch(parcels)
        except Refused as refused:
            return fail(refused)
        posts = link.host.federation.forwarder.posts
        # The other realm may claim senders of any length; keep no more of one than a name has.
        senders = [
            sender[:MAX_NAME]
            for _, each in batch
            if (sender := each.sender if type(each) is Direct else _sender_of(each, posts))
        ]
        return self._answer(work, len(batch), senders)

    @wire.ReturnCommand.responder
    def take_back(self, parcels: bytes, upto: int | None = None) -> Deferred[Any]:
        link = self._link

        async def work(items: Sequence[Returned]) -> dict[str, Any]:
            federation, realm = link.host.federation, link.realm
            await federation.returned.take(realm, items, self._stream)
            if upto is not None and link.is_up:
                await federation.returned.finish(realm)
                if link.is_up:
                    await federation.standings.settle(realm, max(0, min(upto, MAX_NUMBER)))
            return {}

        return self._answer_decoded(contents.decode_returned, parcels, work)

    @wire.TailsCommand.responder
    def tails(self, groups: bytes) -> Deferred[Any]:
        async def work(idents: Sequence[int]) -> dict[str, Any]:
            standings, realm = self._link.host.federation.standings, self._link.realm
            return {"tails": encode(await standings.tails(realm, idents))}

        return self._answer_decoded(contents.decode_groups, groups, work)

    @wire.GuestsCommand.responder
    def guests(self, listed: bytes) -> Deferred[Any]:
        async def work(guests: GuestList) -> dict[str, Any]:
            lists, realm = self._link.host.federation.guests, self._link.realm
            return {"found": encode(await lists.answer(realm, guests))}

        return self._answer_decoded(contents.decode_list, listed, work)

    @wire.PastCommand.responder
    def past(self, group_id: int, before: int, after: int) -> Deferred[Any]:
        link = self._link

        async def work() -> dict[str, Any]:
            if not (0 < group_id <= MAX_NUMBER and 0 <= after < before <= MAX_SEQ):
                raise Refused("bad-number")
            asked = PastQuestion(link.realm, group_id, before, after)
            page = await link.host.federation.past_supply.answer(asked)
            return {**msgspec.structs.asdict(page), "entries": encode(page.entries)}

        return self._answer(work, PAST_COST)

    @wire.RosterChangedCommand.responder
    def roster_changed(self, listed: bytes) -> Deferred[Any]:
        async def work(numbers: Sequence[tuple[int, int]]) -> dict[str, Any]:
            await self._link.host.federation.roster_copies.told(self._link.realm, numbers)
            return {}

        return self._answer_decoded(contents.decode_numbers, listed, work)

    @_answers(wire.RosterCommand)
    async def roster(self, group_id: int, offset: int) -> dict[str, Any]:
        if not 0 < group_id <= MAX_NUMBER:
            raise Refused("bad-number")
        rosters, realm = self._link.host.federation.rosters, self._link.realm
        return msgspec.structs.asdict(await rosters.piece(realm, group_id, offset))

    @_answers(wire.RescueCommand)
    async def rescue(self, rescue: bytes) -> dict[str, Any]:
        rescues, realm = self._link.host.federation.rescues, self._link.realm
        return {"answer": encode(await rescues.offered(realm, decode_rescue(rescue)))}

    @_answers(wire.FollowCommand)
    async def follow(self, asked: bytes) -> dict[str, Any]:
        rescues, realm = self._link.host.federation.rescues, self._link.realm
        return {"answer": encode(await rescues.follow(realm, decode_follow(asked)))}

    @_answers(wire.LineageCommand)
    async def lineage(self, home: str, group_id: int) -> dict[str, Any]:
        if not 0 < group_id <= MAX_NUMBER:
            raise Refused("bad-number")
        lineage, realm = self._link.host.federation.lineage, self._link.realm
        return {"branches": encode(await lineage.answer(realm, home, group_id))}

    @wire.HandoverCommand.responder
    def handover(self, group_id: int, have: int, start: int) -> Deferred[Any]:
        link = self._link

        async def work() -> dict[str, Any]:
            handing_over = link.host.federation.handing_over
            data, size = await handing_over.answer(link.realm, group_id, have, start)
            return {"data": data, "size": size}

        return self._answer(work, PAST_COST)

    @_answers(wire.FileCommand)
    async def file(self, realm: str, number: int, offset: int, size: int) -> dict[str, Any]:
        if not 0 < number <= MAX_NUMBER:
            raise Refused("bad-number")
        supply, asker = self._link.host.federation.supply, self._link.realm
        return {"data": await supply.read(asker, realm, number, offset, size)}

    @_answers(wire.FileReadyCommand)
    async def file_ready(self, realm: str, number: int) -> dict[str, Any]:
        del realm, number  # what waits is few, and is asked for again
        self._link.host.federation.arrivals.ready(self._link.realm)
        return {}

    @_answers(wire.FindCommand)
    async def find(self, user: str, group: str) -> dict[str, Any]:
        found = await self._link.host.federation.questions.find(self._link.realm, user, group)
        return msgspec.structs.asdict(found)

    @_answers(wire.JoinCommand)
    async def join(
        self, user: str, group: str, entry: bytes, before: bytes | None = None
    ) -> dict[str, Any]:
        questions, realm = self._link.host.federation.questions, self._link.realm
        return msgspec.structs.asdict(await questions.join(realm, user, group, entry, before))

    @_answers(wire.MembersCommand)
    async def members(self, user: str, group: str, start: int) -> dict[str, Any]:
        questions, realm = self._link.host.federation.questions, self._link.realm
        page, more = await questions.members(realm, user, group, start, wire.MAX_NAMES)
        return {"members": encode(page), "more": more}

    @_answers(wire.ChangeCommand)
    async def change(
        self, user: str, group: str, change: str, users: list[str], entries: bytes | None = None
    ) -> dict[str, Any]:
        questions, realm = self._link.host.federation.questions, self._link.realm
        result = await questions.change(realm, user, group, change, users, entries or b"")
        return {"result": encode(result)}

    @_answers(wire.PresenceCommand)
    async def presence(self, users: list[str]) -> dict[str, Any]:
        found = await self._link.host.federation.questions.presence(self._link.realm, users)
        unseen = {user: each.unseen for user, each in found.items() if each.unseen}
        return {
            "states": encode({user: each.state for user, each in found.items()}),
            "unseen": encode(unseen) if unseen else None,
        }

    @wire.PresenceChangedCommand.responder
    def presence_changed(self, states: bytes) -> Deferred[Any]:
        async def work(told: Sequence[TheirState]) -> dict[str, Any]:
            self._link.host.federation.presence.arrived(self._link.realm, told)
            return {}

        return self._answer_decoded(contents.decode_states, states, work)

    @_answers(wire.ProfileCommand)
    async def profile(self, user: str, known: str) -> dict[str, Any]:
        questions, realm = self._link.host.federation.questions, self._link.realm
        return msgspec.structs.asdict(await questions.profile(realm, user, known))

    @_answers(wire.GroupPictureCommand)
    async def group_picture(self, user: str, group: str) -> dict[str, Any]:
        questions, realm = self._link.host.federation.questions, self._link.realm
        return msgspec.structs.asdict(await questions.group_picture(realm, user, group))

    @_answers(wire.ProfileChangedCommand)
    async def profile_changed(self, user: str) -> dict[str, Any]:
        self._link.host.federation.profiles.changed_there(self._link.realm, user)
        return {}
