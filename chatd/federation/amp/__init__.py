"""The links between realms: AMP over mutual TLS."""
