"""/metrics of a real daemon."""

from __future__ import annotations

from tests.support.metrics import fetch, read
from tests.support.ports import free_port
from tests.support.processes import DaemonTestCase, in_thread


class DaemonTests(DaemonTestCase):
    """The metrics door of a real daemon."""

    @in_thread
    def test_a_real_port(self) -> None:
        """It is at the configured address, the log names it, and a request leaves no line in the log."""
        port = free_port()
        json_port = self.configure(metrics=port)
        daemon = self.launch(json_port, "--config", "../chatd.ini").listening()
        with daemon.register("messi") as messi:
            messi.must(command="send", to="messi", text="halo")
            values = read(fetch(port, "/metrics").body)
        self.assertEqual(values["chatd_connections{door=json}"], 1)
        self.assertEqual(values["chatd_messages_stored_total{kind=direct}"], 1)
        self.assertEqual(fetch(port, "/").status, 404)
        daemon.stop()
        self.assertIn(f"metrics: http://localhost:{port}/metrics", daemon.out)
        self.assertNotIn("GET", daemon.out)
