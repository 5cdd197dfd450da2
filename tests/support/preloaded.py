"""What the process that programs are forked from prepares once, so that no daemon has to at its start.

Importing this module does it. It is imported after all others, and never in a process that tests.
"""

from __future__ import annotations

import gc

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

from chatd.web.static import shipped_files

# twistd imports the module of each plugin, to list their names.
for _ in getPlugins(IServiceMaker):
    pass
shipped_files()
# Otherwise each daemon searches all modules for garbage at its start, and copies their pages to do so.
gc.collect()
gc.freeze()
