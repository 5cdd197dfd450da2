"""The network layer below all doors: listening, TLS, keepalive, and the PROXY protocol."""
