"""The line protocol: framing, the connection, and its output."""
