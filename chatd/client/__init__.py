"""The terminal client. It runs on asyncio and imports nothing of the daemon but the table of commands, the
names, the errors and what they are made of; a test sees to that.
"""
