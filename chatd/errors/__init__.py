"""Every refusal a user can cause: a stable code, and a sentence that says what is wrong and what to do.

Codes are part of the protocol: dialects look their own texts up by them, and programs match on them. There is
a module for each subject. Import the classes from here, so that a class can move to another module.
"""

from __future__ import annotations

# In the order in which documents list them.
# isort: off
from chatd.errors.base import *
from chatd.errors.requests import *
from chatd.errors.accounts import *
from chatd.errors.realms import *
from chatd.errors.groups import *
from chatd.errors.storage import *
from chatd.errors.connections import *
from chatd.errors.web import *
# isort: on
