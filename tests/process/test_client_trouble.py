"""The terminal client when the connection or a reply is lost, and when pasted text looks like commands."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading

from tests.support.processes import in_thread, wait_until
from tests.support.terminal import (
    ALT_ENTER,
    CTRL_C,
    ENTER,
    PASSWORD,
    ClientTestCase,
)


class ConnectionLost(ClientTestCase):
    @in_thread
    def test_daemon_restarts(self) -> None:
        lina, budi = self.enter("lina"), self.enter("budi")
        lina.type("chat budi")
        lina.await_text("You are talking to budi")
        self.daemon.kill()
        lina.await_text("connection lost")
        lina.type("first line", "second line", "back", "whoami")
        lina.await_text("3 lines wait")
        self.restart()
        lina.await_text("You are lina")
        budi.await_text("lina: second line")
        budi.type("history lina")
        budi.await_text("2 messages")

    @in_thread
    def test_daemon_killed_before_its_reply(self) -> None:
        """The daemon is killed while it has an unanswered message."""
        lina, budi = self.enter("lina"), self.enter("budi")
        lina.type("chat budi")
        lina.await_text("You are talking to budi")
        self.daemon.process.send_signal(signal.SIGSTOP)
        lina.type("into the dark")
        lina.await_text("budi> into the dark")
        self.daemon.kill()
        self.restart()
        budi.await_text("lina: into the dark")
        budi.type("history lina")
        budi.await_text("1 message")

    @in_thread
    def test_session_ended_by_another_client(self) -> None:
        lina = self.enter("lina")
        with self.daemon.login("lina", PASSWORD) as other:
            other.must(command="password", old=PASSWORD, new="another-horse")
        lina.await_text("log in again")
        lina.await_text("not logged in")
        lina.type("send lina later")
        lina.await_text("(waiting until you log in again)")
        lina.type("login lina another-horse")
        lina.await_text("Message sent")  # the line waited for the login


class Files(ClientTestCase):
    @in_thread
    def test_interrupted_upload(self) -> None:
        lina, _ = self.enter("lina"), self.enter("budi")
        with (self.home("lina") / "big.bin").open("wb") as file:
            file.truncate(50_000_000)
        self.daemon.process.send_signal(signal.SIGSTOP)
        lina.type("sendfile budi big.bin")
        self.daemon.process.send_signal(signal.SIGCONT)
        lina.await_text("/50.0 MB")
        self.daemon.process.send_signal(signal.SIGSTOP)
        lina.press(CTRL_C)
        lina.await_text("big.bin is cancelled; nothing of it is kept")
        self.daemon.process.send_signal(signal.SIGCONT)
        lina.type("files")
        lina.await_text("0 files")
        uploads = self.root / "state" / "uploads"
        wait_until(
            lambda: not [each for each in uploads.rglob("*") if each.is_file()],
            lambda: f"no upload, but there is {list(uploads.rglob('*'))}",
        )
        lina.type("sendfile budi big.bin")
        lina.await_text("File sent")

    @in_thread
    def test_downloads_overwrite_nothing(self) -> None:
        lina = self.enter("lina")
        (self.home("lina") / "plan.txt").write_text("Friday")
        lina.type("sendfile lina plan.txt")
        lina.await_text("File sent")
        for number in range(3):
            lina.type("getfile plan.txt")
            lina.await_text("is saved as", number + 1)
        found = sorted((self.home("lina") / "download/lina").iterdir())
        self.assertEqual(
            [each.name for each in found], ["plan (1).txt", "plan (2).txt", "plan.txt"]
        )
        self.assertEqual({each.read_text() for each in found}, {"Friday"})


def pasted(text: str) -> str:
    """Text as terminals send it when it is pasted, if the program has enabled bracketed paste."""
    return f"\x1b[200~{text}\x1b[201~"


class Pasting(ClientTestCase):
    @in_thread
    def test_into_a_chat(self) -> None:
        """Pasted text is always one message, never a command."""
        budi, lina = self.enter("budi"), self.enter("lina")
        lina.type("chat budi")
        lina.await_text("You are talking to budi")
        lina.press(pasted("/logout\nback\n/nothing") + ENTER)
        budi.await_text("lina: /logout")
        budi.await_text("| back")
        budi.await_text("| /nothing")
        lina.press(pasted("/quit") + ENTER)
        budi.await_text("lina: /quit")
        lina.type("/nothing at all")
        lina.await_text("There is no command /nothing; to send it as a message, begin with //")
        lina.type("//nothing at all")
        budi.await_text("lina: /nothing at all")
        self.assertNotIn("//nothing", budi.text())
        lina.press("one" + ALT_ENTER + "10:15 budi: two" + ENTER)
        budi.await_text("lina: one")
        budi.await_text("| 10:15 budi: two")
        lina.type("back")
        lina.press("send budi three" + ALT_ENTER + "four" + ENTER)
        budi.await_text("lina: three")
        budi.await_text("| four")

    @in_thread
    def test_outside_of_a_chat(self) -> None:
        """Several lines would be commands, and need a confirmation. One line is a command, as if it was
        typed."""
        lina = self.enter("lina")
        lina.press(pasted("addgroup futsal\naddgroup basket") + ENTER)
        lina.await_text("Run 2 pasted lines as commands?")
        lina.type("")
        lina.await_text("The pasted lines were not used")
        lina.press(pasted("mygroups") + ENTER)
        lina.await_text("0 groups")
        lina.press(pasted("addgroup futsal\naddgroup basket") + ENTER)
        lina.await_text("as commands?", times=2)
        lina.type("y")
        lina.type("mygroups")
        lina.await_text("2 groups")


class ReplyLost(ClientTestCase):
    """The realm has executed the request, and the connection is lost before the reply."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = Proxy(self.daemon.port)
        self.addCleanup(self.proxy.stop)

    @in_thread
    def test_message_and_file_arrive_once(self) -> None:
        budi = self.enter("budi")
        self.daemon.port, port = self.proxy.port, self.daemon.port
        lina = self.enter("lina")
        self.daemon.port = port
        lina.type("chat budi")
        lina.await_text("You are talking to budi")
        lina.type("one")
        budi.await_text("lina: one")
        self.proxy.breaks_at = b'"Message sent"'
        lina.type("two")
        budi.await_text("lina: two")
        lina.await_text("connected")
        (self.home("lina") / "plan.txt").write_text("Friday")
        self.proxy.breaks_at = b'"File sent"'
        lina.type("/sendfile plan.txt")
        lina.await_text("plan.txt, 6 bytes, code")
        budi.type("history lina")
        budi.await_text("3 messages")

    @in_thread
    def test_other_node(self) -> None:
        """There are two ways to the realm, and the one that was used ends in the middle of a send and of an
        upload."""
        budi = self.enter("budi")
        other = Proxy(self.daemon.port)
        self.addCleanup(other.stop)
        self.daemon.port, port = self.proxy.port, self.daemon.port
        lina = self.enter("lina", f"localhost:{other.port}")
        self.daemon.port = port
        lina.await_text(f"connected to localhost:{self.proxy.port}")
        budi.type("send lina one")
        lina.await_text("budi: one")
        self.proxy.ends = True
        self.proxy.breaks_at = b'"Message sent"'
        lina.type("send budi two")
        budi.await_text("lina: two")
        lina.await_text(f"Connected again, to localhost:{other.port}")
        lina.await_text(f"connected to localhost:{other.port}")
        third = Proxy(self.daemon.port, self.proxy.port)
        self.addCleanup(third.stop)
        (self.home("lina") / "plan.txt").write_text("Friday")
        other.ends, other.breaks_at = True, b'"File sent"'
        lina.type("sendfile budi plan.txt")
        lina.await_text("plan.txt, 6 bytes, code")
        lina.await_text(f"connected to localhost:{third.port}")
        budi.type("history lina")
        budi.await_text("3 messages")


class Proxy:
    """Forwards everything between clients and a daemon until the daemon sends `breaks_at`. That is not
    forwarded, and all connections are closed. If it `ends` then, it accepts no others."""

    def __init__(self, port: int, on: int = 0) -> None:
        self.breaks_at = b""
        self.ends = False
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", on))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                daemon = socket.create_connection(("127.0.0.1", self._port))
                self._open += [client, daemon]
                for source, target in ((client, daemon), (daemon, client)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.breaks_at and self.breaks_at in data:
                    self.breaks_at = b""
                    self._break()
                    return
                target.sendall(data)
        self._shut(source, target)

    def _break(self) -> None:
        if self.ends:
            self._shut(self._listener)
        broken, self._open = self._open, []
        self._shut(*broken)

    def _shut(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stop(self) -> None:
        self._shut(self._listener)
        self._break()
