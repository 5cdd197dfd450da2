"""The terminal client.

It runs on asyncio and shares only chatd.base and chatd.commands with the daemon; an import contract in
pyproject.toml checks this.
"""
