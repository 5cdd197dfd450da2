"""All errors that a user can cause. Each has a stable code, and a sentence that says what to do.

Codes are part of the protocol: dialects select their own texts by code, and programs depend on them. There is
a module per subject; import the classes from this package.
"""

from __future__ import annotations

# The order of the documentation.
# isort: off
from chatd.base.errors.base import *
from chatd.base.errors.requests import *
from chatd.base.errors.accounts import *
from chatd.base.errors.moves import *
from chatd.base.errors.realms import *
from chatd.base.errors.groups import *
from chatd.base.errors.storage import *
from chatd.base.errors.connections import *
from chatd.base.errors.web import *
# isort: on
