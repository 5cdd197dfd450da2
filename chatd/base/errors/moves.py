"""Errors about accounts that move to another realm."""

from __future__ import annotations

from typing import Self

from chatd.base.errors.base import ChatError


class AccountMoved(ChatError):
    code = "account-moved"
    sentence = "{name} has moved and is {to} now; write to that address"

    #: By which the realm of the sender follows, encoded; None if it need not follow. It is never shown.
    proof: bytes | None = None

    def proven(self, proof: bytes) -> Self:
        """The same error, with its proof."""
        self.proof = proof
        return self


class MovedAway(ChatError):
    code = "moved-away"
    sentence = (
        "This account has moved and is {to} now; log in there. Here you may read, export your data, and "
        "move back with moveaccount"
    )


class NoMove(ChatError):
    code = "no-move"
    sentence = "No move of your account is planned; moveaccount <address> <password> plans one"


class UnknownClaim(ChatError):
    code = "unknown-claim"
    sentence = "{name} has not said that they had another address; moves lists who has"


class TooManyMoves(ChatError):
    code = "too-many-moves"
    sentence = "You have agreed to {limit} moves that were not made; cancelmove cancels them"


class TooManyClaims(ChatError):
    code = "too-many-claims"
    sentence = (
        "You may say {limit} times an hour that you had another address; try again in {minutes} min"
    )
