"""Handlers of the commands with which operators and moderators manage groups."""

from __future__ import annotations

from contextlib import suppress

from chatd.base.errors import UnknownRealm
from chatd.base.group_settings import settings_in_effect
from chatd.base.replies import Reply
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act
from chatd.store.managed_groups import MAX_NAMED, GroupFacts, GroupFilter

ACT_HANDLERS = ActHandlers()

MAX_LISTED = 500  # groups on a page
LISTED = 100


@ACT_HANDLERS.of(ask.ListManagedGroups)
async def list_groups(client: Client, command: ask.ListManagedGroups, act: Act) -> Reply:
    limit = min(command.limit or LISTED, MAX_LISTED)
    after = command.after
    wanted = GroupFilter(
        command.text,
        command.visibility,
        command.home,
        command.members,
        command.state,
        None if after is None else str(client.service.context.localize(after)),
    )
    found, more = await client.service.managed_groups.list(act.actor, wanted, limit)
    return list_reply(count(found, "group"), found, "known_groups", more)


@ACT_HANDLERS.of(ask.InspectGroup)
async def show(client: Client, command: ask.InspectGroup, act: Act) -> Reply:
    facts = await client.service.managed_groups.facts(act.actor, command.group)
    group = facts.group
    fields: dict[str, str | int | bool] = {
        "group": group.name,
        "home": _realm(client, group.realm),
        **settings_in_effect(group),
        "created": timestamp(facts.created),
        **_members(client, facts),
        "messages": facts.messages,
        "text_size": facts.text_size,
        "files": facts.files,
        "size": facts.size,
    }
    if facts.newest is not None:
        fields["newest"] = timestamp(facts.newest)
    fields |= {**_retention(facts), **_shutting(facts), **_former(client, facts)}
    what = "The group" if group.realm is None else "What this realm knows of the group"
    return Reply(
        f"{what} {group.name}", {key: value for key, value in fields.items() if value != ""}
    )


@ACT_HANDLERS.of(ask.ShutGroup)
async def close(client: Client, command: ask.ShutGroup, act: Act) -> Reply:
    groups = client.service.managed_groups
    group = await groups.find_here(act.actor, command.group)
    await groups.close(act, group, command.reason or "")
    return Reply(f"The group {group.name} is closed for everybody", {"group": group.name})


@ACT_HANDLERS.of(ask.OpenShutGroup)
async def open_again(client: Client, command: ask.OpenShutGroup, act: Act) -> Reply:
    groups = client.service.managed_groups
    group = await groups.find_here(act.actor, command.group)
    await groups.open(act, group)
    return Reply(f"The group {group.name} is open again", {"group": group.name})


@ACT_HANDLERS.of(ask.PassOnGroup)
async def pass_on(client: Client, command: ask.PassOnGroup, act: Act) -> Reply:
    groups, keep = client.service.managed_groups, bool(command.keep_admins)
    group = await groups.find_here(act.actor, command.group)
    party = await groups.transfer(group, command.user, keep)
    what = "an admin" if keep else "the only admin"
    return Reply(
        f"{party.name} is {what} of {group.name}", {"group": group.name, "username": party.name}
    )


@ACT_HANDLERS.of(ask.DeleteGroup)
async def delete(client: Client, command: ask.DeleteGroup, act: Act) -> Reply:
    groups = client.service.managed_groups
    group = await groups.find_here(act.actor, command.group)
    await groups.delete(act, group)
    return Reply(
        f"The group {group.name} is closed and being deleted, with all that is in it",
        {"group": group.name},
    )


def _realm(client: Client, key: str | None) -> str:
    """The name of the realm with that key; None: this one."""
    if key is None:
        return client.service.config.realm
    with suppress(UnknownRealm):
        return client.service.realms.name_of(key)
    return key


def _members(client: Client, facts: GroupFacts) -> dict[str, str | int | bool]:
    """How many members there are, of which realms, and who the admins are."""
    realms = sorted(facts.realms.items(), key=lambda each: (-each[1], each[0]))
    shown = [f"{_realm(client, key)} {number}" for key, number in realms[:MAX_NAMED]]
    if len(realms) > MAX_NAMED:
        shown.append(f"{len(realms) - MAX_NAMED} more realms")
    named = list(facts.named)
    if facts.admins > len(named):
        named.append(f"{facts.admins - len(named)} more")
    return {
        "members": facts.here + sum(facts.realms.values()),
        "members_here": facts.here,
        "members_elsewhere": ", ".join(shown),
        "admins": ", ".join(named),
    }


def _retention(facts: GroupFacts) -> dict[str, str | int | bool]:
    """The limits that the group has of its own."""
    found = facts.retention
    if found is None:
        return {}
    limits = {
        "kept": found.age,
        "kept_size": found.size,
        "files_kept": found.file_age,
        "files_kept_size": found.file_size,
    }
    return {key: value for key, value in limits.items() if value is not None}


def _shutting(facts: GroupFacts) -> dict[str, str | int | bool]:
    """Since when it is closed for everybody, by whom and why."""
    found = facts.shutting
    if found is None:
        return {}
    return {
        "closed": True if found.at is None else timestamp(found.at),
        "closed_by": found.actor or "the operators of its home",
        "reason": found.reason,
    }


def _former(client: Client, facts: GroupFacts) -> dict[str, str | int | bool]:
    """The addresses that the group had before it moved."""
    former = [f"{each.name}@{_realm(client, each.realm)}" for each in facts.group.former]
    own = f"@{client.service.config.realm}"
    return {"former_addresses": ", ".join(each.removesuffix(own) for each in former)}
