"""Checks from outside whether a realm follows docs/federation.md: `python -m chatd.conformance HOST PORT`.

The suite plays realms of its own. It imports nothing else of chatd, so that the two share no mistakes, and it
can check any implementation.
"""
