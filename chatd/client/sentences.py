"""Sentences of the realm that the catalogue has: those of successful commands, and parts of refusals.

The realm writes them in English. `{n}` and `{more}` are numbers, and other details are any text. A noun in
the plural stands for the singular, too.
"""

from __future__ import annotations

from collections.abc import Mapping


def later(sentence: str) -> str:
    """Mark a sentence for the catalogue; it is translated where it is used."""
    return sentence


# In this order: the first one that matches counts.
SUCCESSES = (
    later("{n} users active"),
    later("{n} users"),
    later("{n} contacts"),
    later("{n} groups"),
    later("{n} members in {group}"),
    later("{n} bans in {group}"),
    later("{n} files"),
    later("{n} rooms"),
    later("{n} realms"),
    later("{n} readers"),
    later("{n} requests"),
    later("{n} invitations"),
    later("{n} conversations"),
    later("{n} pinned messages"),
    later("{n} unread in {m} conversations"),
    later("{n} bytes follow"),
    later("Message sent; queued: {names}"),
    later("Message sent; requested: {names}"),
    later("Message sent; there is no user {names}"),
    later("File sent; queued: {names}"),
    later("File sent; there is no user {names}"),
    later("Refused: {reason}"),
    later("You are in {room} with {n} users"),
    later("Said in {room}"),
    later("You have left {room}"),
    later("You are a member of {group}"),
    later("{n} invited to {group}; they have to accept: {names}"),
    later("{n} invited to {group}; members already: {names}"),
    later("{n} invited to {group}; unknown: {names}"),
    later("{n} invited to {group}"),
    later("You have accepted the message request from {user}"),
    later("You have declined the message request from {user}"),
    later("You are not notified until {time}"),
    later("You are notified of mentions only until {time}"),
    later("You are an operator of {realm}"),
    later("{realm} is a peer"),
    later("{realm} is no longer a peer"),
    later("File deleted, with {n} messages"),
    later("Your archive is being imported: {n} messages so far"),
    later("Your archive is imported: {n} messages"),
    later("Your import is cancelled; {n} messages were imported"),
    later("Your import has failed after {n} messages: {reason}"),
)
# Sentences without details
WHOLE = (
    later("The conversation is marked as read"),
    later("The conversation is archived"),
    later("The conversation is no longer archived"),
    later("You are notified of all messages"),
    later("You are notified of mentions only"),
    later("You are not notified"),
    later("Messages are shown as they arrive"),
    later("Messages are not shown as they arrive"),
    later("Everything is shown as it happens"),
    later("The numbers of messages are shown"),
    later("The numbers of messages are not shown"),
    later("Your privacy settings"),
    later("Reaction added"),
    later("Reaction removed"),
    later("The home of the group makes the change once it is linked, if it accepts it"),
    later("Message edited"),
    later("Message deleted"),
    later("Message pinned"),
    later("Message unpinned"),
    later("Typing notice sent"),
    later("Receipts are not shown here"),
    later("There is no picture now"),
    later("The message is reported to the moderators"),
    later("The message is dismissed"),
    later("Goodbye"),
)
# Follows a list of which this is the beginning.
MORE = later("{list}, {more} more remain")

# Parts of refusals that are sentences themselves, by the name of the detail.
PARTS: Mapping[str, tuple[str, ...]] = {
    "advice": (
        later("did you mean {near}? help lists all commands"),
        later("roomfiles lists them"),
    ),
    "reason": (
        later("{verb} takes no argument"),
        later("Too many arguments"),
        later("{name} is missing"),
        later("it has invisible characters; leave them out"),
        later("it has characters that stand for several others; write those instead"),
        later(
            "it mixes scripts; use letters of one script, or of Latin with Chinese, Japanese or Korean"
        ),
    ),
    "expected": (
        later("a whole number, {minimum} or more"),
        later("a TCP port, 1 to 65535"),
        later("up to {limit} characters; empty to remove it"),
        later("up to {limit} characters"),
        later("one line"),
        later("{limit} people at most"),
        later("a later time"),
        later("another realm"),
        later("somebody else"),
        later("true or false"),
        later("a string"),
    ),
    "until": (
        later(" until {time} ({reason})"),
        later(" until {time}"),
    ),
}
