"""The types of command arguments.

Each parses a value from text (a word, or the rest of a line) and from JSON, and raises a BadRequest that
names the expected form. Nothing is looked up.
"""

from __future__ import annotations

from chatd.commands.arguments.addresses import *
from chatd.commands.arguments.ban_targets import *
from chatd.commands.arguments.base import *
from chatd.commands.arguments.opaque import *
from chatd.commands.arguments.texts import *
from chatd.commands.arguments.values import *
