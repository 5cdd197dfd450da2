"""Telnet commands and options (RFC 854, 856, 857, 858, 860)."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.telnet import HIDE, SHOW, Telnet
from tests.support.common import ClockedTestCase, RealmTestCase, Wire

IAC, DONT, DO, WONT, WILL = b"\xff", b"\xfe", b"\xfd", b"\xfc", b"\xfb"
BINARY, ECHO, SGA, TIMING_MARK, TERMINAL_TYPE = b"\x00", b"\x01", b"\x03", b"\x06", b"\x18"
OFFERS = IAC + WILL + BINARY + IAC + DO + BINARY
NOP, IP, AYT = b"\xff\xf1", b"\xff\xf4", b"\xff\xf6"


def heard(telnet: Telnet, *commands: bytes) -> bytes:
    """The answer to commands such as DO + ECHO."""
    return telnet.answer([(each[0], each[1]) for each in commands])


class Options(TestCase):
    """Negotiation without a socket."""

    def test_what_is_refused(self) -> None:
        telnet = Telnet(offers=False)
        for option in (TIMING_MARK, TERMINAL_TYPE, SGA, ECHO, b"\xff"):
            self.assertEqual(heard(telnet, DO + option), IAC + WONT + option)
        for option in (TERMINAL_TYPE, ECHO, b"\x1f"):
            self.assertEqual(heard(telnet, WILL + option), IAC + DONT + option)

    def test_what_is_accepted(self) -> None:
        telnet = Telnet(offers=False)
        self.assertEqual(heard(telnet, DO + BINARY), IAC + WILL + BINARY)
        self.assertEqual(heard(telnet, WILL + BINARY), IAC + DO + BINARY)
        self.assertEqual(heard(telnet, WILL + SGA), IAC + DO + SGA)

    def test_request_for_the_current_state_is_not_answered(self) -> None:
        telnet = Telnet(offers=False)
        heard(telnet, DO + BINARY)
        self.assertEqual(heard(telnet, DO + BINARY), b"")
        self.assertEqual(heard(telnet, DONT + BINARY), IAC + WONT + BINARY)
        self.assertEqual(heard(telnet, DONT + BINARY), b"")
        self.assertEqual(heard(telnet, WONT + TERMINAL_TYPE), b"")

    def test_timing_marks_are_answered_each_time(self) -> None:
        answer = heard(Telnet(offers=False), DO + TIMING_MARK, DO + TIMING_MARK)
        self.assertEqual(answer, (IAC + WONT + TIMING_MARK) * 2)

    def test_the_answer_to_an_offer_is_not_answered(self) -> None:
        telnet = Telnet(offers=True)
        self.assertEqual(telnet.answer([]), OFFERS)
        self.assertEqual(heard(telnet, DO + BINARY, WILL + BINARY), b"")
        telnet = Telnet(offers=True)
        telnet.answer([])
        self.assertEqual(heard(telnet, DONT + BINARY, WONT + BINARY), b"")

    def test_only_what_is_still_off_is_offered(self) -> None:
        answer = heard(Telnet(offers=True), DO + BINARY)
        self.assertEqual(answer, OFFERS)
        answer = heard(Telnet(offers=True), DO + BINARY, WILL + BINARY)
        self.assertEqual(answer, OFFERS)

    def test_echo(self) -> None:
        """The answers to HIDE and SHOW get no answer. An unsolicited request is refused."""
        telnet = Telnet(offers=False)
        telnet.proposed_echo(True)
        self.assertEqual(heard(telnet, DO + ECHO), b"")
        telnet.proposed_echo(False)
        self.assertEqual(heard(telnet, DONT + ECHO), b"")
        self.assertEqual(heard(telnet, DO + ECHO), IAC + WONT + ECHO)

    def test_two_servers_stop_answering_each_other(self) -> None:
        one, other = Telnet(offers=True), Telnet(offers=True)
        said, rounds = heard(one, DO + BINARY), 0
        while said:
            commands = [(said[at + 1], said[at + 2]) for at in range(0, len(said), 3)]
            one, other = other, one
            said = one.answer(commands)
            rounds += 1
            self.assertLess(rounds, 5)


class Doors(RealmTestCase):
    def wire(self, dialect: Any = PlainDialect) -> Wire:
        wire = self.connect(dialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        wire.protocol.output.flush()
        wire.taken()
        return wire

    def said(self, wire: Wire) -> bytes:
        wire.protocol.output.flush()
        return wire.taken()

    def test_clients_without_telnet_get_no_commands(self) -> None:
        wire = self.wire()
        wire.feed(b"ping\nhelp ping\n\xc3\x9c\n")
        self.assertNotIn(IAC, self.said(wire))

    def test_binary_is_offered_once(self) -> None:
        wire = self.wire()
        wire.feed(NOP)
        self.assertEqual(self.said(wire), OFFERS)
        wire.feed(NOP + IAC + DO + BINARY + IAC + WILL + BINARY + NOP)
        self.assertEqual(self.said(wire), b"")

    def test_older_dialects_offer_nothing(self) -> None:
        wire = self.wire(Tugas4Dialect)
        wire.feed(IAC + DO + TIMING_MARK)
        self.assertEqual(self.said(wire), IAC + WONT + TIMING_MARK)

    def test_a_timing_mark_in_order(self) -> None:
        """After the replies to earlier requests, and before those to later ones."""
        wire = self.wire()
        wire.feed(NOP)
        self.said(wire)
        wire.feed(b"ping\r\nhalf" + IP + IAC + DO + TIMING_MARK + b"ping\r\n")
        pong = b"status: OK\r\nmessage: pong\r\n\r\n"
        self.assertEqual(self.said(wire), pong + IAC + WONT + TIMING_MARK + pong)

    async def test_first_column(self) -> None:
        """While the client sends BINARY, its terminal does not return to the first column after a line."""
        wire = self.wire()
        pong = b"status: OK\r\nmessage: pong\r\n\r\n"
        wire.feed(b"ping\r\n")
        self.assertEqual(self.said(wire), pong)
        wire.feed(NOP + IAC + DO + BINARY + IAC + WILL + BINARY)
        self.assertEqual(self.said(wire), OFFERS)
        wire.feed(b"ping\r\nnothing\r\nregister messi\r\n")
        data = self.said(wire)
        self.assertTrue(data.startswith(b"\r" + pong + b"\rstatus: ERROR\r\n"), data)
        self.assertTrue(data.endswith(b"\r\n\r\n\r" + HIDE + b"Password: "), data)
        wire.feed(b"surabaya1\r\nsurabaya1\r\n")
        data = await wire.until(b"\r\n\r\n")
        self.assertTrue(data.startswith(SHOW + b"\r\n" + HIDE + b"Password again: "), data)
        self.assertIn(SHOW + b"\r\nstatus: OK", data)
        wire.feed(IAC + WONT + BINARY + b"ping\r\n")
        self.assertTrue(self.said(wire).endswith(b"\xff\xfe\x00" + pong))

    async def test_a_timing_mark_waits_for_its_turn(self) -> None:
        wire = self.wire()
        wire.feed(b"register messi surabaya1\r\n" + IAC + DO + TIMING_MARK + b"ping\r\n")
        data = await wire.until(b"pong\r\n\r\n")
        self.assertLess(data.index(b"tokenId"), data.index(IAC + WONT + TIMING_MARK))

    def test_are_you_there(self) -> None:
        wire = self.wire()
        wire.feed(AYT)
        self.assertIn(b"* Yes", self.said(wire))


class Floods(ClockedTestCase):
    """Telnet commands count against the rate of the connection."""

    limits = {"commands_per_second": 10}

    def test_commands(self) -> None:
        self.check(NOP * 51)
        self.check((IAC + WILL + TERMINAL_TYPE) * 51)
        self.check((IAC + DO + TIMING_MARK) * 51)

    def test_subnegotiations(self) -> None:
        self.check(b"\xff\xfa\x18" + b"x" * 16 * 51)
        self.check(b"\xff\xfa\x18", *[b"x"] * 16 * 51)

    def check(self, *pieces: bytes) -> None:
        wire = self.connect(PlainDialect())
        for piece in pieces:
            wire.feed(piece)
        self.assertEqual(wire.transport.producerState, "paused")
        self.clock.advance(20)
        self.assertEqual(wire.transport.producerState, "producing")
        wire.lose(Failure(ConnectionDone()))

    def test_a_few_are_free(self) -> None:
        wire = self.connect(PlainDialect())
        wire.feed(NOP * 30)
        self.assertEqual(wire.transport.producerState, "producing")
        wire.lose(Failure(ConnectionDone()))
