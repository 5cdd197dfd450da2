"""Commands of operators and moderators. There is a module per subject; import the classes from
chatd.commands.values."""

from __future__ import annotations

from chatd.commands.values.admin.account_data import *
from chatd.commands.values.admin.accounts import *
from chatd.commands.values.admin.announcements import *
from chatd.commands.values.admin.bans import *
from chatd.commands.values.admin.data import *
from chatd.commands.values.admin.groups import *
from chatd.commands.values.admin.invitations import *
from chatd.commands.values.admin.memberships import *
from chatd.commands.values.admin.messages import *
from chatd.commands.values.admin.mutes import *
from chatd.commands.values.admin.peers import *
from chatd.commands.values.admin.realm import *
from chatd.commands.values.admin.reports import *
from chatd.commands.values.admin.upkeep import *
