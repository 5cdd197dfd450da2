"""Performs every transcript in memory, one of each dialect over TCP, and checks their coverage."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from chatd.base.config import Config
from chatd.base.errors import every_error
from chatd.commands.table import BY_VERB, TABLE
from chatd.lines import block_buffer, paced_output
from chatd.lines.dialects import (
    bagan,
    kelompok3,
    pychat,
    pychat_common,
    tugas4,
    urlencoded,
    urlencoded_client,
)
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.pychat_client import PychatClientDialect
from chatd.lines.dialects.registry import DIALECTS
from chatd.lines.dialects.verbs import Texts, Verb
from chatd.net.eager import make_eager
from tests.support.actors import connect_socket, connect_wire
from tests.support.common import RealmTestCase, SteadyClock
from tests.support.fake_realms import FakeRealms
from tests.support.plays import Play
from tests.support.transcripts import Transcript, all_transcripts

TRANSCRIPTS = all_transcripts()
PIECES = (1, 7, 64)  # sizes of the pieces in which requests arrive

# The older dialects: their verbs, and the sentences for errors that a verb has none for.
OLDER: dict[str, tuple[Mapping[str, Verb], tuple[Texts, ...]]] = {
    "kelompok3": (kelompok3.VERBS, (kelompok3.TEXTS,)),
    "bagan": (bagan.VERBS, (bagan.TEXTS,)),
    "urlencoded": ({**urlencoded.VERBS, **urlencoded_client.VERBS}, ()),
    "tugas4": (tugas4.VERBS, (tugas4.TEXTS,)),
    "pychat": (pychat.VERBS, (pychat_common.TEXTS,)),
}

# Errors that no transcript can show, and the test that shows each.
NOT_IN_TRANSCRIPTS = {
    "bad-reset-link": "tests.unit.web.test_password_resets.Resets.test_once",
    "no-web-door": "tests.unit.web.test_password_resets.Resets.test_without_a_door",
    "too-many-codes": "tests.unit.service.test_realm_invitations.Invitations.test_guesses",
    "group-elsewhere": (
        "tests.unit.federation.test_closed_groups.Known.test_groups_of_other_realms"
    ),
    "group-ending": "tests.unit.federation.test_deleted_groups.Deleted.test_meanwhile",
    "too-many-mutes": "tests.unit.service.test_mutes.MuteTests.test_limit",
    "too-many-bans": "tests.unit.service.test_access_bans.Networks.test_limit",
    "too-many-taken-names": "tests.unit.service.test_guesses.Guesses.test_taken_groups",
    "too-many-failed-joins": "tests.unit.service.test_guesses.Guesses.test_failed_joins",
    "ambiguous-name": "tests.unit.service.test_messages.InboxTest.test_name_of_a_user_and_of_a_group",
    "too-many-pins": "tests.unit.service.test_message_changes.Pins.test_limit",
    "too-many-exports": "tests.unit.service.test_exports.Limits.test_per_hour",
    "export-unfinished": "tests.unit.service.test_exports.Limits.test_one_at_a_time",
    "too-many-imports": "tests.unit.service.test_imports.Refusals.test_limits",
    "import-unfinished": "tests.unit.service.test_imports.Interruptions.test_cancel",
    "imported-message": "tests.unit.service.test_imports.Places.test_group",
    "too-many-reports": "tests.unit.service.test_reports.ReportsTest.test_limits",
    "too-many-blocks": "tests.unit.service.test_blocks.Lists.test_refusals",
    "too-many-attempts": (
        "tests.unit.service.test_accounts.Throttling.test_simultaneous_guesses_do_not_lock_the_owner_out"
    ),
    "line-stalled": "tests.unit.lines.test_long_line.SharedMemory.test_stalled_line_is_dropped",
    "inline-full": "tests.unit.lines.test_long_line.SharedMemory.test_an_account_has_its_share",
    "no-data-door": "tests.unit.lines.test_data_door.Refusals.test_door_is_closed",
    "no-data-connection": "tests.unit.lines.test_data_breaks.Interruptions.test_client_never_connects",
    "transfer-conflict": "tests.unit.lines.test_data_breaks.Interruptions.test_two_clients_at_one_address",
    "transfer-broken": "tests.unit.lines.test_data_breaks.Interruptions.test_data_connection_breaks",
    "busy": "tests.unit.base.test_fair_threads.FairThreadsTest.test_full",
    "already-logged-in": "tests.unit.lines.test_transcripts.Completeness.test_older_dialects_say_all_texts",
    "backup-failed": "tests.unit.app.test_upkeep.UpkeepTests.test_refusal",
    "still-running": "tests.unit.commands.test_upkeep.Upkeep.test_only_for_a_stopped_realm",
    "reload-failed": "tests.unit.commands.test_upkeep.Upkeep.test_reload",
    "storage-failed": "tests.unit.lines.test_failures.Failures.test_a_failing_disk_refuses_an_upload",
    "file-damaged": "tests.unit.lines.test_failures.Failures.test_a_lost_file_is_refused",
    "file-missing": "tests.unit.lines.test_failures.Failures.test_a_lost_file_is_refused",
    "disk-full": "tests.unit.service.test_quotas.Reserve.test_below_it",
    "message-quota": "tests.unit.service.test_quotas.AccountQuota.test_says_when_to_try_again",
    "idle": "tests.unit.lines.test_idle.IdleConnections.test_silence_before_login_closes_after_60_s",
    "shutting-down": "tests.unit.lines.test_endings.Shutdown.test_accepted_requests_are_answered",
    "internal": "tests.unit.lines.test_failures.Failures.test_unexpected_exception_has_a_reference",
}
# Errors that need peers: tests of chatd.federation.amp show them.
BETWEEN_REALMS = {
    "account-moved",
    "moved-away",
    "too-many-moves",
    "too-many-claims",
    "realm-not-found",
    "lookup-denied",
    "too-many-lookups",
    "realm-exists",
    "forbidden-address",
    "realm-unreachable",
    "wrong-realm",
    "bad-certificate",
    "certificate-changed",
    "realm-not-allowed",
    "realm-down",
    "group-closed",
    "group-moved",
    "home-not-lost",
    "no-roster",
    "not-founder",
    "rescue-exists",
    "realm-full",
    "expired",
    "peer-failed",
    "bad-signature",
    "not-supported-there",
    "unknown-there",
    "other-version",
    "text-refused",
    "realm-quota",
    "too-many-unknown",
    "too-many-invitations",
    "not-requested",
    "request-pending",
    "file-arriving",
    "file-lost",
    "too-much-arriving",
}
# Errors of HTTP: tests of chatd.web show them.
OVER_HTTP = {
    "use-http",
    "unknown-page",
    "bad-method",
    "foreign-origin",
    "foreign-host",
    "bad-host",
    "body-too-large",
    "length-required",
    "upload-offset",
    "bad-picture",
    "too-many-uploads",
}


class TranscriptTests(RealmTestCase):
    """Each method performs one file: test_<dialect>_<file>_in_memory. Where older dialects are spoken,
    another one, …_in_pieces, splits what is sent into pieces of several sizes in turn. What the systems' own
    clients send is split into pieces of each size instead: …_in_pieces_of_<size>. The longest file of each
    folder is also performed over TCP: …_over_tcp."""

    transcript: Transcript

    def setUp(self) -> None:
        self.clock = SteadyClock(reactor)
        super().setUp()
        # This client need not tell one write from the next.
        self.patch(PychatClientDialect, "gap", 0.001)
        self.patch(paced_output, "AFTER_LINES", 0.001)
        self.patch(paced_output, "AFTER_FILE", 0.001)
        self.patch(block_buffer, "EXACT_FIT_TIME", 0.05)

    def make_config(self) -> Config:
        transcript = getattr(type(self), self._testMethodName).transcript
        config = super().make_config()
        for section, values in transcript.settings.items():
            part = msgspec.structs.replace(getattr(config, section), **values)
            config = msgspec.structs.replace(config, **{section: part})
        return config

    async def play(
        self, transcript: Transcript, over_tcp: bool = False, pieces: Sequence[int] = ()
    ) -> None:
        names = {transcript.dialect(line.actor) for line in transcript.lines if line.actor}
        dialects = {name: DIALECTS[name]() for name in names}
        doors = {name: self.realm.door(dialect) for name, dialect in dialects.items()}
        if transcript.peers:
            self.realm.sessions.handlers = FakeRealms(transcript.peers).handlers
        connect = connect_wire(doors, pieces)
        if over_tcp:
            network: Any = reactor
            ports = {}
            for name, factory in doors.items():
                port = network.listenTCP(0, factory, interface="127.0.0.1")
                make_eager(port)  # as the daemon does
                self.addCleanup(port.stopListening)
                ports[name] = port.getHost().port
            connect = connect_socket(network, ports)
        await Play(transcript, self.realm, self.clock, dialects, connect).perform()


def _performance(
    transcript: Transcript, **options: Any
) -> Callable[[TranscriptTests], Coroutine[Any, Any, None]]:
    async def test(self: TranscriptTests) -> None:
        await self.play(transcript, **options)

    test.__doc__ = transcript.guards
    test.transcript = transcript  # type: ignore[attr-defined]
    return test


def _longest() -> set[Path]:
    """The longest transcript of each folder."""
    by_length = sorted(TRANSCRIPTS, key=lambda each: len(each.lines))
    return set({each.path.parent: each.path for each in by_length}.values())


def _add_tests() -> None:
    over_tcp = _longest()
    for transcript in TRANSCRIPTS:
        path = transcript.path
        performances: dict[str, dict[str, Any]] = {"in_memory": {}}
        if path in over_tcp:
            performances["over_tcp"] = {"over_tcp": True}
        if set(OLDER) & {transcript.dialect(line.actor) for line in transcript.lines}:
            if path.stem.startswith("client-"):
                performances |= {f"in_pieces_of_{size}": {"pieces": [size]} for size in PIECES}
            else:
                performances["in_pieces"] = {"pieces": PIECES}
        for kind, options in performances.items():
            name = f"test_{path.parent.name}_{path.stem.replace('-', '_')}_{kind}"
            setattr(TranscriptTests, name, _performance(transcript, **options))


_add_tests()


class Completeness(TestCase):
    """The transcripts cover every verb and every error."""

    def test_each_transcript_says_what_it_guards(self) -> None:
        self.assertEqual([each.path.name for each in TRANSCRIPTS if not each.guards], [])

    def test_plain_speaks_every_verb_and_alias(self) -> None:
        asked = {
            request.replace("\\", " ").split(" ")[0].lower()
            for transcript in TRANSCRIPTS
            for request in transcript.requests("plain")
        }
        one_word = {verb for verb in BY_VERB if "." not in verb}
        self.assertEqual(one_word - asked, set())

    def test_json_asks_for_every_command(self) -> None:
        asked = set()
        for transcript in TRANSCRIPTS:
            for request in transcript.requests("json"):
                try:
                    found = json.loads(request)
                except ValueError:
                    continue
                if isinstance(found, dict):
                    asked.add(found.get("command"))
        self.assertEqual({row.verb for row in TABLE} - asked, set())

    def test_every_refusal_is_shown(self) -> None:
        """In a transcript, in the test that is named here, or in tests of federation or the web."""
        shown = {
            code
            for transcript in TRANSCRIPTS
            for dialect in ("plain", "json")
            for answer in transcript.answers(dialect)
            for code in _codes(answer)
        }
        codes = {error.code for error in every_error()}
        self.assertEqual(codes - shown, NOT_IN_TRANSCRIPTS.keys() | BETWEEN_REALMS | OVER_HTTP)

    def test_older_dialects_use_every_verb(self) -> None:
        for name, (verbs, _) in OLDER.items():
            asked = {
                " ".join(request.lower().split(" ")[:words])
                for transcript in TRANSCRIPTS
                for request in transcript.requests(name)
                for words in (1, 2)
            }
            self.assertEqual(set(verbs) - asked, set(), name)

    def test_clients_use_every_verb(self) -> None:
        """And get every refusal of it, in transcripts of the client's form."""
        own = [each for each in TRANSCRIPTS if each.path.name.startswith("client-")]
        for dialect in (Kelompok3Dialect, BaganDialect):
            answered = [pair for each in own for pair in each.refusals(dialect.name)]
            for key, verb in dialect.client_verbs.items():
                answers = {answer for asked, answer in answered if asked == key}
                self.assertTrue(answers, (dialect.name, key))
                for text in verb.texts.values():
                    self.assertTrue(_is_said(text, answers), (dialect.name, key, text))

    def test_older_dialects_say_all_texts(self) -> None:
        """The sentences of a verb in answer to that verb, and the common ones anywhere."""
        for name, (verbs, common) in OLDER.items():
            said: dict[str, set[str]] = {}
            for transcript in TRANSCRIPTS:
                for asked, answer in transcript.refusals(name):
                    said.setdefault(asked, set()).add(answer)
            everything = set().union(*said.values())
            for key, verb in verbs.items():
                for text in verb.texts.values():
                    self.assertTrue(_is_said(text, said.get(key, set())), (name, key, text))
            for text in (text for texts in common for text in texts.values()):
                self.assertTrue(_is_said(text, everything), (name, text))

    def test_exceptions_name_existing_tests(self) -> None:
        for path in NOT_IN_TRANSCRIPTS.values():
            module, case, method = path.rsplit(".", 2)
            self.assertTrue(hasattr(getattr(importlib.import_module(module), case), method), path)


def _is_said(text: str | None, answers: Iterable[str]) -> bool:
    """Whether an answer, or the message of one, is `text` with its details filled in."""
    if text is None:
        return True
    parts = [re.escape(part) for part in re.split(r"\{\w+\}", text)]
    pattern = re.compile(rf'failed {".+".join(parts)}|.*"message":"{".+".join(parts)}".*')
    return any(pattern.fullmatch(answer) for answer in answers)


def _codes(answer: str) -> list[str]:
    if answer.startswith("code: "):
        return [answer.removeprefix("code: ")]
    try:
        found = json.loads(answer)
    except ValueError:
        return []
    code = found.get("code") if isinstance(found, dict) else None
    return [code] if isinstance(code, str) else []
