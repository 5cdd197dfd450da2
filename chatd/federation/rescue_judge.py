"""Judges rescues that other realms tell of: whether this realm follows, waits, or, as the lost home that is
back, gives a verdict."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.base.errors import BadSignature
from chatd.base.model import Group
from chatd.base.names import key_of
from chatd.federation.forwarder import Forwarder
from chatd.federation.rescue_founding import known_rescue
from chatd.federation.rescue_parts import (
    RescueAnswer,
    SignedRoster,
    branch_of,
    decode_proof,
    decode_rescue,
    decode_stored_verdict,
)
from chatd.federation.signing.entries import Trust
from chatd.federation.signing.group_rosters import RosterStatement, decode_roster_statement
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.proofs import Proof
from chatd.federation.signing.rescues import (
    OpenedRescue,
    RescueStatement,
    RescueVerdict,
    VerdictStatement,
    decode_verdict,
    is_due,
    open_rescue,
    place_in,
)
from chatd.federation.signing.statements import encode
from chatd.service.context import Context
from chatd.store import group_rosters as roster_store
from chatd.store import rescues as store
from chatd.store.group_rosters import StoredRoster
from chatd.store.groups import group_of
from chatd.store.lineage import HomeStep, add_step, place_of_home
from chatd.store.quiet import is_quiet
from chatd.store.rescued_members import lost_rights
from chatd.store.rescues import RESCUE, KnownRescue

# What a rescue changes here: nothing; the group follows it, or goes back to the home that was lost; members
# are told that it is pending, or not any more; or this realm founds the group again, as it had done.
Effect: TypeAlias = Literal["none", "follow", "return", "wait", "found"]


class Judgement(msgspec.Struct, frozen=True):
    """The answer to the realm that tells of a rescue, and what has to be done here."""

    answer: RescueAnswer
    effect: Effect = "none"
    known: KnownRescue | None = None


class RescueJudge:
    def __init__(self, context: Context, forwarder: Forwarder, keys: KeyBook) -> None:
        self._context = context
        self._forwarder = forwarder
        self._keys = keys

    @property
    def _long(self) -> int:
        return self._context.config.groups.rescue_after * 1000

    # Signatures

    def check(self, opened: OpenedRescue, known_roster: bytes | None) -> None:
        """Raises BadSignature unless the founder's realm has signed a rescue, and the lost home its roster;
        `known_roster` is one that was checked when it came."""
        rescue, stated, roster = opened.rescue, opened.stated, opened.roster
        self._check_signed(rescue.statement, stated.realm, stated.at, rescue.proof)
        if rescue.roster != known_roster:
            self._check_signed(rescue.roster, roster.home, roster.at, rescue.roster_proof)

    def check_verdict(self, opened: OpenedRescue, verdict: RescueVerdict) -> VerdictStatement:
        """Raises BadSignature unless the lost home has given this verdict on that rescue."""
        stated = decode_verdict(verdict.statement)
        if (stated.home, stated.group) != (opened.stated.home, opened.stated.group):
            raise BadSignature(reason="it is about another group")
        if stated.rescue != opened.rescue.hash:
            raise BadSignature(reason="it is about another rescue")
        self._check_signed(verdict.statement, stated.home, stated.at, verdict.proof)
        return stated

    def check_roster(self, roster: RosterStatement, signed: SignedRoster) -> None:
        """Raises BadSignature unless the home has signed this roster."""
        self._check_signed(signed.statement, roster.home, roster.at, signed.proof)

    def _check_signed(self, statement: bytes, realm: str, at: int, proof: Proof) -> None:
        trust = self._keys.verifier.check(statement, realm, at, proof)
        if trust is not Trust.VERIFIED:
            raise BadSignature(reason="its key is not known")

    # Judging. Runs in the writer's thread.

    def judge(self, connection: sa.Connection, opened: OpenedRescue, away: int | None) -> Judgement:
        """`away` is for how many ms the lost home was not reached. Raises BadSignature."""
        stated, own = opened.stated, self._context.realm_key
        place = self._place(connection, opened)
        group = None if place is None else group_of(connection, place)
        if group is None or not group.key:
            return Judgement(RescueAnswer("unknown"))
        if stated.home == own:
            kept = roster_store.newest_own(connection, group.id)
        else:
            kept = roster_store.roster_of_mirror(connection, group.id, stated.home)
        self.check(opened, None if kept is None else kept.statement)
        known = store.rescue_with(connection, group.id, opened.rescue.hash)
        if known is not None and known.state != "pending":
            return self._known(connection, known, opened)
        counts = store.counting(connection, group.id)
        if not self._is_about(group, counts, stated):
            return self._outdated(connection, known, counts)
        better = self._better(connection, group, opened)
        if better is not None:
            return self._ended(connection, group, opened, better)
        if stated.home == own:
            return self._as_home(connection, group, opened, kept)
        refused = self._not_entitled(connection, group, opened, kept)
        if refused is not None:
            row = known_rescue(group.id, opened, "ended")
            store.add_rescue(connection, row)
            effect: Effect = "none" if known is None else "wait"
            return Judgement(RescueAnswer("ended", roster=refused), effect, row)
        if kept is None or kept.number < opened.roster.number:
            self._keep_roster(connection, group, opened)
        switches = counts is not None and counts.home == stated.home
        if switches or is_due(away, self._long):
            if stated.realm == own:
                return Judgement(RescueAnswer("follows"), "found", known)
            return self._follow(connection, group, opened)
        kept_it = store.add_rescue(connection, known_rescue(group.id, opened, "pending"))
        row = known_rescue(group.id, opened, "pending")
        effect = "wait" if kept_it and known is None else "none"
        return Judgement(RescueAnswer("pending" if kept_it else "unknown"), effect, row)

    def _place(self, connection: sa.Connection, opened: OpenedRescue) -> int | None:
        stated = opened.stated
        if stated.home != self._context.realm_key:
            place = place_of_home(connection, stated.home, stated.group)
            heading = store.heading_for(connection, stated.home, stated.group)
            return heading if place is None else place
        group = group_of(connection, stated.group)
        return None if group is None else group.id

    def _is_about(self, group: Group, counts: KnownRescue | None, stated: RescueStatement) -> bool:
        """Whether a rescue is about the home that a group has, or is about to get, or competes with the
        rescue by which it has left that home. Otherwise the home has handed the group over, or has yielded:
        nobody may found it again for that."""
        own = self._context.realm_key
        home = stated.home, stated.group
        if stated.home == own or (group.realm or own, group.home_id or group.id) == home:
            return True
        if counts is None:
            return False
        return counts.home == stated.home or (counts.realm, counts.new_group) == home

    def _outdated(
        self,
        connection: sa.Connection,
        known: KnownRescue | None,
        counts: KnownRescue | None,
    ) -> Judgement:
        """The group lives elsewhere by now."""
        if known is not None:
            store.set_state(connection, known, "ended")
        other = None if counts is None else decode_rescue(counts.rescue)
        effect: Effect = "none" if known is None else "wait"
        return Judgement(RescueAnswer("ended", other), effect, known)

    def _known(
        self, connection: sa.Connection, known: KnownRescue, opened: OpenedRescue
    ) -> Judgement:
        verdict = decode_stored_verdict(known.verdict)
        if known.state == "ended":
            counts = store.counting(connection, known.conversation_id)
            other = None if counts is None else decode_rescue(counts.rescue)
            return Judgement(RescueAnswer("ended", other, verdict=verdict), "none", known)
        effect: Effect = "follow" if known.state == "following" else "none"
        return Judgement(RescueAnswer("follows", verdict=verdict), effect, known)

    def _better(
        self, connection: sa.Connection, group: Group, opened: OpenedRescue
    ) -> KnownRescue | None:
        """The rescue that counts for the group, if it is not outranked."""
        counts = store.counting(connection, group.id)
        if counts is None or counts.home != opened.stated.home:
            return None
        other = open_rescue(decode_rescue(counts.rescue))
        return counts if other.rank < opened.rank else None

    def _ended(
        self, connection: sa.Connection, group: Group, opened: OpenedRescue, better: KnownRescue
    ) -> Judgement:
        """Another rescue counts. Entries that were made for this one are entries of the group, too."""
        row = known_rescue(group.id, opened, "ended")
        if store.add_rescue(connection, row):
            self._add_branch(connection, group, opened)
        return Judgement(RescueAnswer("ended", decode_rescue(better.rescue)), "none", row)

    def _add_branch(self, connection: sa.Connection, group: Group, opened: OpenedRescue) -> None:
        stated = opened.stated
        if any(
            (each.realm, each.home_id) == (stated.realm, stated.new_group) for each in group.former
        ):
            return
        name, address = key_of(stated.name), key_of(f"{stated.name}@{stated.realm}")
        proof = encode(branch_of(opened.rescue))
        step = HomeStep(stated.realm, stated.new_group, name, address, stated.seq, RESCUE, proof)
        add_step(connection, group.id, step)

    def _not_entitled(
        self,
        connection: sa.Connection,
        group: Group,
        opened: OpenedRescue,
        kept: StoredRoster | None,
    ) -> SignedRoster | None:
        """The newer roster by which the founder may not found the group. Raises BadSignature if the log says
        that they may not."""
        stated = opened.stated
        newer = kept if kept is not None and kept.number > opened.roster.number else None
        if newer is not None and place_in(decode_roster_statement(newer.statement), stated) is None:
            return SignedRoster(newer.statement, decode_proof(newer.proof))
        seq = max(opened.roster.seq, 0 if kept is None else _seq(kept))
        if lost_rights(connection, group.id, stated.founder_address, seq):
            raise BadSignature(reason="the founder is no admin or member any more")
        return None

    def _keep_roster(self, connection: sa.Connection, group: Group, opened: OpenedRescue) -> None:
        rescue, roster = opened.rescue, opened.roster
        signed = StoredRoster(roster.number, rescue.roster, encode(rescue.roster_proof), None)
        roster_store.keep_roster(connection, group.id, roster.home, signed)

    def _follow(
        self,
        connection: sa.Connection,
        group: Group,
        opened: OpenedRescue,
        verdict: RescueVerdict | None = None,
    ) -> Judgement:
        encoded = None if verdict is None else encode(verdict)
        row = known_rescue(group.id, opened, "following", encoded)
        if not store.add_rescue(connection, row):
            return Judgement(RescueAnswer("unknown"))
        return Judgement(RescueAnswer("follows", verdict=verdict), "follow", row)

    # The home that was lost is back

    def _as_home(
        self,
        connection: sa.Connection,
        group: Group,
        opened: OpenedRescue,
        kept: StoredRoster | None,
    ) -> Judgement:
        """It yields if it was silent for so long, and if the founder may found the group by its own newest
        roster."""
        stated = opened.stated
        refused = self._not_entitled_here(connection, group, opened, kept)
        lives_here = group.realm is None
        yields = (
            lives_here and not refused and is_quiet(connection, group.id, stated.at, self._long)
        )
        verdict = self._verdict(connection, opened, yields)
        if yields:
            return self._follow(connection, group, opened, verdict)
        row = known_rescue(group.id, opened, "ended", encode(verdict))
        if store.add_rescue(connection, row):
            self._add_branch(connection, group, opened)
        return Judgement(RescueAnswer("ended", verdict=verdict), "none", row)

    def _not_entitled_here(
        self,
        connection: sa.Connection,
        group: Group,
        opened: OpenedRescue,
        kept: StoredRoster | None,
    ) -> bool:
        try:
            return self._not_entitled(connection, group, opened, kept) is not None
        except BadSignature:
            return True

    def _verdict(
        self, connection: sa.Connection, opened: OpenedRescue, yields: bool
    ) -> RescueVerdict:
        stated, number = opened.stated, self._context.writers.parcels.take(connection)
        about = (stated.home, stated.group, number, opened.rescue.hash)
        statement = encode(VerdictStatement(*about, yields, self._context.now()))
        return RescueVerdict(statement, self._forwarder.sign(statement))

    # What the home has said

    def take_verdict(
        self, connection: sa.Connection, opened: OpenedRescue, verdict: RescueVerdict
    ) -> Judgement:
        """Do what the home says that was lost. Raises BadSignature."""
        stated = self.check_verdict(opened, verdict)
        place = place_of_home(connection, stated.home, stated.group)
        known = None if place is None else store.rescue_with(connection, place, opened.rescue.hash)
        group = None if place is None else group_of(connection, place)
        if known is None or group is None or known.verdict is not None:
            return Judgement(RescueAnswer("unknown"))
        encoded = encode(verdict)
        if stated.yields:
            if known.state == "pending" and self._better(connection, group, opened) is None:
                return self._follow(connection, group, opened, verdict)
            store.set_state(connection, known, known.state, encoded)
            return Judgement(RescueAnswer("unknown"))
        effect: Effect = "return" if known.state in ("own", "followed") else "wait"
        if known.state == "ended":
            effect = "none"
        store.set_state(connection, known, "ended", encoded)
        return Judgement(RescueAnswer("ended"), effect, known)


def _seq(kept: StoredRoster) -> int:
    return decode_roster_statement(kept.statement).seq
