"""The client in scripts: output, exit codes, files, TLS, and the errors if there is no realm."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator

import trustme

from tests.support.ports import free_port
from tests.support.processes import in_thread, wait_until
from tests.support.talker import PATIENCE
from tests.support.terminal import CLIENT, PASSWORD, ClientTestCase, Terminal, environment


class Scripts(ClientTestCase):
    def registered(self, *names: str) -> None:
        for name in names:
            done = self.run_script(name, "-c", f"register {name} {PASSWORD}")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    @in_thread
    def test_output_and_exit_codes(self) -> None:
        self.registered("lina", "budi")
        done = self.run_script("lina", "-c", "send budi halo")
        self.assertEqual((done.returncode, done.stdout), (0, "Message sent\n"))
        done = self.run_script(
            "lina", "-c", "send nobody x", "-c", "send budi lagi", "-c", "sned x"
        )
        self.assertEqual((done.returncode, done.stdout), (1, "Message sent\n"))
        self.assertEqual(
            done.stderr.splitlines(),
            [
                "There is no user nobody in this realm",
                "There is no command sned; did you mean send? help lists all commands",
            ],
        )
        done = self.run_script("budi", lines="inbox\n\nsend lina balas\n")
        self.assertEqual(done.returncode, 0)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "2 messages")
        self.assertRegex(lines[1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ lina: halo$")
        self.assertNotIn("\x1b", done.stdout)
        done = self.run_script("budi", "-c", "inbox")
        self.assertEqual(done.stdout, "0 messages\n")

    @in_thread
    def test_unknown_command_in_a_chat(self) -> None:
        """An unknown command is refused, and not sent as a message."""
        self.registered("lina", "budi")
        done = self.run_script("lina", "-c", "chat budi", "-c", "/sned budi x", "-c", "//halo")
        self.assertEqual(done.returncode, 1)
        self.assertIn("There is no command /sned; did you mean /send?", done.stderr)
        read = self.run_script("budi", "--json", "-c", "inbox").stdout
        texts = [each["text"] for each in json.loads(read.splitlines()[-1])["messages"]]
        self.assertEqual(texts, ["/halo"])

    @in_thread
    def test_not_utf_8(self) -> None:
        self.registered("lina")
        done = self.run_script("lina", lines="send lina caf\udce9\nwhoami\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("control characters", done.stderr)
        self.assertIn("You are lina", done.stdout)

    @in_thread
    def test_json(self) -> None:
        self.registered("lina")
        done = self.run_script("lina", "--json", "-c", "send lina hi", "-c", "inbox", "-c", "send x y",
                               "-c", "getfile", "-c", "help send")  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        replies = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([each["status"] for each in replies], ["OK", "OK", "ERROR", "ERROR", "OK"])
        self.assertEqual(replies[1]["messages"], [])  # one's own messages are not unread
        self.assertEqual(replies[2]["code"], "unknown-user")
        self.assertEqual(replies[3]["code"], "usage")
        self.assertEqual(replies[4]["commands"][0]["command"], "send")

    @in_thread
    def test_menus_and_chats(self) -> None:
        self.registered("lina", "budi")
        lines = "contact\nadd budi\nchat budi\nhalo\n/whoami\nback\nback\nget\n"
        done = self.run_script("lina", lines=lines)
        self.assertEqual(done.returncode, 1)
        self.assertIn("There is no command get", done.stderr)
        self.assertIn("You are lina", done.stdout)
        done = self.run_script("budi", "-c", "inbox lina")
        self.assertIn("lina: halo", done.stdout)

    @in_thread
    def test_files(self) -> None:
        self.registered("lina", "budi")
        content = os.urandom(200_000)
        for name in ("a b.bin", "c.bin"):
            (self.home("lina") / name).write_bytes(content)
        done = self.run_script("lina", "-c", "sendfile budi 'a b.bin' c.bin nothere")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.count("File sent"), 2)
        self.assertEqual(done.stderr, "There is no file nothere here\n")
        done = self.run_script("budi", "-c", "getfile a b.bin", "-c", "getfile c.bin nothere")
        self.assertEqual(done.returncode, 1)
        saved = self.home("budi") / "download" / "budi"
        self.assertEqual(sorted(each.name for each in saved.iterdir()), ["a b.bin", "c.bin"])
        self.assertEqual((saved / "a b.bin").read_bytes(), content)
        self.run_script("lina", "-c", "addgroup futsal", "-c", "invite futsal budi",
                        "-c", "sendgroupfile futsal c.bin")  # fmt: skip
        done = self.run_script("budi", "-c", "getfile c.bin")
        self.assertTrue((self.home("budi") / "downloadgroup" / "budi" / "c.bin").exists())
        done = self.run_script("lina", "-c", "export", "-c", "whoami")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        [archive] = (self.home("lina") / "download" / "lina").glob("lina-*.zip")
        done = self.run_script("budi", "-c", f"import {archive}")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("Your archive is being imported", done.stdout)
        wait_until(
            lambda: "is imported" in self.run_script("budi", "-c", "imported").stdout,
            lambda: "an import that is done",
        )
        done = self.run_script("budi", "-c", "imported", "-c", "history ~futsal")
        self.assertIn("futsal", done.stdout)

    @in_thread
    def test_interrupted_download(self) -> None:
        """Ctrl-C during a download leaves no part of the file."""
        self.registered("lina")
        with (self.home("lina") / "big.bin").open("wb") as file:
            file.truncate(100_000_000)
        self.run_script("lina", "-c", "sendfile lina big.bin")
        with self.started("lina", "-c", "getfile big.bin") as client:
            folder = self.home("lina") / "download" / "lina"
            wait_until(lambda: list(folder.glob(".*.part")), lambda: "a download that has begun")
            self.daemon.process.send_signal(signal.SIGSTOP)
            client.send_signal(signal.SIGINT)
            self.assertEqual(client.wait(PATIENCE), 130)
            self.daemon.process.send_signal(signal.SIGCONT)
        self.assertEqual(list(folder.iterdir()), [])

    def started(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        folder = self.home(name)
        return subprocess.Popen(
            [*CLIENT, f"localhost:{self.daemon.port}", *arguments],
            cwd=folder,
            env=environment(folder / "state"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @in_thread
    def test_closed_pipe(self) -> None:
        """Messages that were written to a closed pipe stay unread."""
        self.registered("lina", "budi")
        self.run_script("lina", "-c", "send budi halo")
        folder = self.home("budi")
        out, into = os.pipe()
        os.close(out)
        done = subprocess.run(
            [*CLIENT, f"localhost:{self.daemon.port}", "-c", "inbox"],
            cwd=folder,
            env=environment(folder / "state"),
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
        os.close(into)
        self.assertEqual((done.returncode, done.stderr), (1, b""))
        self.assertIn("1 message", self.run_script("budi", "-c", "inbox").stdout)

    @in_thread
    def test_listening(self) -> None:
        self.registered("lina", "budi")
        terminal = Terminal(
            [
                "sh",
                "-c",
                f'"$@" localhost:{self.daemon.port} --json -c "listen on" | cat',
                "sh",
                *CLIENT,
            ],
            self.home("budi"),
            environment(self.home("budi") / "state"),
        )
        self.addCleanup(terminal.kill)
        terminal.await_text('"listening":true')
        self.run_script("lina", "-c", "send budi halo")
        terminal.await_text('"text":"halo"')
        self.daemon.kill()
        terminal.await_text("The connection was lost")
        terminal.ended()


class NoRealm(ClientTestCase):
    """Errors are one sentence, and the exit code is 2."""

    def said(self, port: int, *arguments: str) -> str:
        done = self.run_script("lina", *arguments, "-c", "whoami", port=port)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        return done.stderr

    @in_thread
    def test_no_server(self) -> None:
        port = free_port()
        self.assertIn(f"There is no daemon at localhost:{port}", self.said(port))
        terminal = self.open("budi")
        terminal.await_text("register creates an account")
        self.assertIn("TLS", self.said(self.daemon.port, "--tls"))

    @in_thread
    def test_other_servers(self) -> None:
        with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
            self.assertIn("is a web server. The json door of a chatd is usually", self.said(port))
        with answering(b"SSH-2.0-OpenSSH_9.6\r\n") as port:
            self.assertIn(
                "does not speak the json protocol; it sent SSH-2.0-OpenSSH_9.6.", self.said(port)
            )
        with answering(b"\x15\x03\x01\x00\x02\x02\x0a") as port:
            self.assertIn("uses TLS: try --tls", self.said(port))
        with answering(b"* chatd 0.1.0 at realm1. Type help.\r\n") as port:
            self.assertIn("is the plain door of a chatd. The json door", self.said(port))
        with answering(b'{"error":"what?"}\n') as port:
            self.assertIn("is not a chatd realm", self.said(port))

    @in_thread
    def test_silent_server(self) -> None:
        """A server that accepts the connection and sends nothing is given up within seconds, over TLS too."""
        with answering(b"") as port:
            for more, part in (((), "sent nothing within 2 s, or closed the connection: is it another port"),
                               (("--tls",), "does not use TLS")):  # fmt: skip
                began = time.monotonic()
                self.assertIn(part, self.said(port, *more))
                self.assertLess(time.monotonic() - began, 8)

    @in_thread
    def test_connection_lost(self) -> None:
        replies = b'{"status":"OK","id":null,"message":"pong"}\n'
        with answering(replies, then_close=True) as port:
            self.assertIn("The connection was lost\nNo reply came to: whoami", self.said(port))


class Tls(ClientTestCase):
    @in_thread
    def test_certificates(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("realm1")
        key, chain, ca = (self.root / name for name in ("key.pem", "cert.pem", "ca.pem"))
        certificate.private_key_pem.write_to_path(str(key))
        chain.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        authority.cert_pem.write_to_path(str(ca))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        replies = b'{"status":"OK","id":null,"message":"pong"}\n'
        with answering(replies, context=context, then_close=True) as port:
            done = self.run_script("lina", "--tls", "-c", "whoami", port=port)
            self.assertEqual(done.returncode, 2)
            self.assertIn("is not valid", done.stderr)
            done = self.run_script("lina", "--tls", "--ca", str(ca), "-c", "whoami", port=port)
            self.assertIn("is not valid", done.stderr)  # it is realm1's, not localhost's
            done = self.run_script(
                "lina", "--tls", "--ca", str(ca), "--realm", "realm1", "-c", "whoami", port=port
            )
            self.assertIn("The connection was lost", done.stderr)  # after a pong


@contextlib.contextmanager
def answering(
    what: bytes, then_close: bool = False, context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server that answers the first line with `what`, and hangs up at the second."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                connection: socket.socket = self.request
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                connection.recv(4096)
                connection.sendall(what)
                connection.recv(4096)
                connection.close()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()
