"""Every refusal a user can cause: a stable code, and a sentence that says what is wrong and what to do.

Codes are part of the protocol: dialects look their own texts up by them, and programs match on them. There is
a module for each subject. Import the classes from here, so that a class can move to another module.
"""

from __future__ import annotations

# In the order in which documents list them.
# isort: off
from chatd.base.errors.base import *
from chatd.base.errors.requests import *
from chatd.base.errors.accounts import *
from chatd.base.errors.realms import *
from chatd.base.errors.groups import *
from chatd.base.errors.storage import *
from chatd.base.errors.connections import *
from chatd.base.errors.web import *
# isort: on
