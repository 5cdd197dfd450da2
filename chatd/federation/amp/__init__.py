"""AMP over mutual TLS between realms."""
