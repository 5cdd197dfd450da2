"""Errors about accounts that move to another realm."""

from __future__ import annotations

from chatd.base.errors.base import ChatError


class AccountMoved(ChatError):
    code = "account-moved"
    sentence = "{name} has moved and is {to} now; write to that address"


class MovedAway(ChatError):
    code = "moved-away"
    sentence = (
        "This account has moved and is {to} now; log in there. Here you may read, export your data, and "
        "move back with moveaccount"
    )


class NoMove(ChatError):
    code = "no-move"
    sentence = "No move of your account is planned; moveaccount <address> <password> plans one"


class TooManyMoves(ChatError):
    code = "too-many-moves"
    sentence = "You have agreed to {limit} moves that were not made; cancelmove cancels them"
