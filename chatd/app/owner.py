"""Lets root work on a state folder as the user that runs the realm."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from chatd.app.state import StartError


def become_owner(state: Path) -> None:
    """Let root become the user that owns the state folder, because that user runs the realm and could not use
    files of root. Root stays root if there is no such folder yet. Raises StartError if that user can't use
    it."""
    if os.geteuid() != 0:
        return
    try:
        owner = state.stat()
    except FileNotFoundError:
        return
    if owner.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:  # the system has no name for the user
        os.setgroups([owner.st_gid])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        raise StartError(
            f"[realm] state is {state}, and the user {owner.st_uid}, who owns it, can't use it; expected a "
            "folder that this user may write to, and folders above it that this user may search"
        )
