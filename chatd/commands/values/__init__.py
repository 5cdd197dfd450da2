"""Commands as values: one frozen class per command, described in chatd.commands.table. There is a module per
subject; import the classes from this package."""

from __future__ import annotations

from chatd.commands.values.accounts import *
from chatd.commands.values.admin import *
from chatd.commands.values.base import *
from chatd.commands.values.files import *
from chatd.commands.values.general import *
from chatd.commands.values.groups import *
from chatd.commands.values.messages import *
from chatd.commands.values.reading import *
from chatd.commands.values.realms import *
from chatd.commands.values.rooms import *
