"""Every send and every parcel is stored once: its name is looked up first, and the same name again gives what
was stored.

A send of an account is named by a key of its client's choice and the place that it goes to, for a week
(chatd.store.idempotent_sends). An entry from another realm is named by the realm and its number there, for
good (chatd.store.origins).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item")
Stored = TypeVar("Stored")
Known = TypeVar("Known")


def store_once(
    names: Sequence[Name],
    items: Sequence[Item],
    known: Mapping[Name, Known],
    store: Callable[[list[Item]], Sequence[Stored]],
    repeated: Callable[[Item, Stored], Stored | Known],
) -> list[Stored | Known]:
    """Store those of `items` whose names are not `known`, and of several with one name the first.

    Returns for each item what `store` returned for it, or what is known of its name: for an item that this
    call has stored before, what `repeated` returns.
    """
    if not known and len(set(names)) == len(names):  # as nearly always
        return [*store([*items])] if items else []
    fresh: dict[Name, Item] = {}
    for name, item in zip(names, items, strict=True):
        if name not in known:
            fresh.setdefault(name, item)
    stored = dict(zip(fresh, store(list(fresh.values())), strict=True)) if fresh else {}
    results: list[Stored | Known] = []
    returned: set[Name] = set()
    for name in names:
        if name in known:
            results.append(known[name])
        elif name in returned:
            results.append(repeated(fresh[name], stored[name]))
        else:
            returned.add(name)
            results.append(stored[name])
    return results
