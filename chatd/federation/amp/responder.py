"""Responder the requests of the realm at the other end of a link."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from chatd.base.errors import CertificateChanged, ChatError, RealmNotAllowed, RealmQuota
from chatd.base.names import MAX_NAME, printable
from chatd.federation.amp import wire
from chatd.federation.amp.wire import Introduction, Refused
from chatd.federation.file_receive import FileIncomplete
from chatd.federation.refusals import verdict_of
from chatd.store.messages import Stream

if TYPE_CHECKING:
    from chatd.federation.amp.link import PeerLink

MAX_BUSY = 32  # requests of one link that are under way; beyond that the link is not read from
BUSY, EARLY = "busy", "early"
# Seconds for which a link is not read from after messages beyond the quota of its realm. All that it has
# under way (16 batches) has to be answered within 30.
QUOTA_PAUSE = 1.0

log = Logger()


class Responder(amp.CommandLocator):
    """The commands that `link` answers, and nothing else of AMP's own."""

    def __init__(self, link: PeerLink) -> None:
        self._link = link
        self._stream = Stream()
        self._busy = 0
        self._early: list[Deferred[None]] = []  # requests that came before this side was up

    def begin(self) -> None:
        """Answer the requests that came before the link was up."""
        early, self._early = self._early, []
        for request in early:
            request.callback(None)
        self._link.flow.resume(EARLY)

    def end(self) -> None:
        """The link is gone."""
        self._early.clear()
        self._stream.end()

    def not_understood(self, failure: Failure) -> Any:
        """Handle a request that is malformed: its command is unknown, or its arguments can't be read."""
        if failure.check(amp.RemoteAmpError):
            return failure
        self._link.garbage(f"arguments that can't be read ({type(failure.value).__name__})")
        raise amp.RemoteAmpError(amp.UNKNOWN_ERROR_CODE, "bad arguments")

    def _answer(
        self,
        work: Callable[[], Coroutine[Any, Any, dict[str, Any]]],
        cost: int = 1,
        senders: Sequence[str] = (),
    ) -> Deferred[Any]:
        """Answer a request. No exception may escape, since it would end the link. It counts as `cost`
        requests of the realm, and as a message of each of `senders`."""
        if not self._link.is_up:
            if not self._link.greeted:
                return fail(Refused("not-greeted"))
            # The other end is up once it has answered, and this end is soon. A refusal now would overtake
            # what comes then.
            early: Deferred[None] = Deferred()
            self._early.append(early)
            if len(self._early) >= MAX_BUSY:
                self._link.flow.pause(EARLY)
            return early.addCallback(lambda _: self._answer(work, cost, senders))
        host, flow = self._link.host, self._link.flow
        if cost > 1:
            flow.take(cost - 1)
        if senders:
            now = host.clock.seconds()
            flow.slow(host.sender_rates.take(self._link.realm, senders, now))
        self._busy += 1
        if self._busy >= MAX_BUSY:
            self._link.flow.pause(BUSY)
        return Deferred.fromCoroutine(work()).addBoth(self._answered)

    def _answered(self, result: Any) -> Any:
        self._busy -= 1
        if self._busy <= MAX_BUSY // 2:
            self._link.flow.resume(BUSY)
        return self._refusal(result) if isinstance(result, Failure) else result

    def _refusal(self, result: Failure) -> Failure:
        """The Refused for any exception."""
        if result.check(Refused):
            return result
        if isinstance(result.value, ChatError | FileIncomplete):
            verdict = verdict_of(result.value)
            raise Refused(verdict.code, **verdict.details)
        reference = self._link.host.new_reference()
        log.failure(
            "internal error {reference}, asked for by {realm}",
            result,
            reference=reference,
            realm=self._link.realm,
        )
        raise Refused(wire.INTERNAL, reference=reference)

    @wire.HelloCommand.responder
    def hello(self, **said: Any) -> Deferred[Any]:
        if self._link.dialled or self._link.greeted:
            return fail(Refused("already-greeted"))
        self._link.greeted = True
        greeting = Deferred.fromCoroutine(self._greet_back(Introduction(**said)))
        return greeting.addErrback(self._refusal)

    async def _greet_back(self, other: Introduction) -> dict[str, Any]:
        try:
            own = await self._link.host.introduce(self._link.realm)
            await self._link.begin(other)
        except Refused as refused:
            if refused.code in ("wrong-name", "version"):
                self._link.warn(f"the realm at {self._link.address} is not let in: {refused.code}")
            self._link.host.clock.callLater(0, self._link.close)  # once the answer has been sent
            raise
        except (RealmNotAllowed, CertificateChanged) as error:
            self._link.refuse(error)
            raise Refused(error.code) from None
        except Exception:
            self._link.host.clock.callLater(0, self._link.close)
            raise
        # The answer has to be sent before anything else.
        self._link.host.clock.callLater(0, self._link.come_up)
        return msgspec.structs.asdict(own)

    @wire.GoodbyeCommand.responder
    def goodbye(self, code: str, reason: str) -> dict[str, Any]:
        if not self._link.is_up:
            shown = reason or "it does not trust the certificate of this realm"
            where = self._link.expected or self._link.realm
            self._link.refused = RealmNotAllowed(
                realm="this realm", where=where, reason=printable(shown, 300)
            )
            self._link.warn(f"{self._link.realm} does not let this realm in: {printable(code)}")
        return {}

    @wire.PingCommand.responder
    def ping(self) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            return {}

        return self._answer(work)

    @wire.DeliverCommand.responder
    def delivered(self, parcels: bytes) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            verdicts = await self._link.host.receiver.receive(self._link.realm, batch, self._stream)
            if self._link.is_up and any(each.code == RealmQuota.code for each in verdicts):
                self._link.flow.slow(QUOTA_PAUSE)
            return {"verdicts": wire.encode_verdicts(verdicts)}

        try:
            batch = wire.decode_batch(parcels)
        except Refused as refused:
            return fail(refused)
        # Whatever they say of themselves is remembered for a while, so no more of it than a name has.
        senders = [
            sender[:MAX_NAME] for _, each in batch if (sender := getattr(each, "sender", None))
        ]
        return self._answer(work, len(batch), senders)

    @wire.OfferCommand.responder
    def offered(self, number: int, parcel: bytes) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            found = wire.decode_parcel(parcel)
            if found is None:
                raise Refused("bad-parcel")
            return {"offset": await self._link.host.receiver.offer(self._link.realm, number, found)}

        return self._answer(work)

    @wire.ChunkCommand.responder
    def chunk_came(self, number: int, offset: int, data: bytes) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            await self._link.host.receiver.take(self._link.realm, number, offset, data)
            return {}

        return self._answer(work)

    @wire.JoinCommand.responder
    def join_asked(self, user: str, group: str) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            found = await self._link.host.questions.join(self._link.realm, user, group)
            return msgspec.structs.asdict(found)

        return self._answer(work)

    @wire.MembersCommand.responder
    def members_asked(self, user: str, group: str, start: int) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            page, more = await self._link.host.questions.members(
                self._link.realm, user, group, start, wire.MAX_NAMES
            )
            return {"members": wire.encode(page), "more": more}

        return self._answer(work)

    @wire.ChangeCommand.responder
    def change_asked(self, user: str, group: str, change: str, users: list[str]) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            result = await self._link.host.questions.change(
                self._link.realm, user, group, change, users
            )
            return {"result": wire.encode(result)}

        return self._answer(work, max(1, len(users)))

    @wire.PresenceCommand.responder
    def presence_asked(self, users: list[str]) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            return {
                "online": wire.encode(
                    await self._link.host.questions.presence(self._link.realm, users)
                )
            }

        return self._answer(work, max(1, len(users)))
