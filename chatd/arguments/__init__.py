"""The types of commands' arguments.

Each reads a value from text (a word, or the rest of a line) and from JSON, and raises a BadRequest that says
what was expected. Nothing is looked up here.
"""

from __future__ import annotations

from chatd.arguments.addresses import *
from chatd.arguments.base import *
from chatd.arguments.texts import *
from chatd.arguments.values import *
