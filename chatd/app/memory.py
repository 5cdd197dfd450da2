"""How the daemon's process uses memory: settings of the C library's allocator and of Python's collector."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

# mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
LARGE = 4 << 20  # bytes


def return_large_blocks() -> None:
    """Make the C library return large blocks to the system when they are freed.

    A password hash takes 19 MB for some milliseconds. By default glibc keeps such memory once it was used
    a second time. C libraries other than glibc are left as they are.
    """
    library: Any = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, LARGE)


def settle() -> None:
    """Exempt everything that exists now from garbage collection, collect less often from now on, and return
    the memory that only the start needed to the system.

    Messages create many objects that live for one transaction and hardly any cycles, so the collector has
    less to do than Python assumes (docs/performance.md has the figures).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    library: Any = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
