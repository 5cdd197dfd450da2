"""The types of commands' arguments.

Each reads a value from text (a word, or the rest of a line) and from JSON, and raises a BadRequest that says
what was expected. Nothing is looked up here.
"""

from __future__ import annotations

from chatd.commands.arguments.addresses import *
from chatd.commands.arguments.base import *
from chatd.commands.arguments.texts import *
from chatd.commands.arguments.values import *
