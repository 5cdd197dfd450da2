"""The network below every door: listening, keepalive, and the PROXY protocol."""
