"""Renders the lists of replies: people, groups, files, sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chatd.client.render import Item, Line, Renderer, amount, colour_of, safe
from chatd.client.state import State
from chatd.client.translations import tr, trn


class ListRenderer:
    """Renders lists. `messages` renders the messages in them."""

    def __init__(self, state: State, messages: Renderer) -> None:
        self._state = state
        self._messages = messages

    def items(self, reply: Item, inbox: bool = False) -> list[Line]:
        """The list in a reply, if it has one."""
        for name, values in reply.items():
            if isinstance(values, list) and values and isinstance(values[0], dict):
                if name == "sent":
                    continue
                if name == "messages":
                    return [self._messages.message(each, inbox) for each in values]
                paint = self._PAINTERS.get(name, ListRenderer._anything)
                return [paint(self, each) for each in values]
        return []

    def numbered_groups(self, groups: list[Item]) -> list[Line]:
        lines = []
        for number, group in enumerate(groups, 1):
            lines.append([("time", f"{number:3} "), ("", f"{safe(group.get('code') or '-')} ")])
            lines[-1] += self._group_name(group)
        return lines

    def _user(self, user: Item) -> Line:
        name = safe(user.get("name"))
        country = f", {safe(user['country'])}" if user.get("country") else ""
        status = f": {safe(user['status'])}" if user.get("status") else ""
        line: Line = [(colour_of(str(user.get("username"))), safe(user.get("username")))]
        return [*line, ("", f" ({name}{country}) "), _presence(user), ("", status)]

    def _contact(self, contact: Item) -> Line:
        name = str(contact.get("username"))
        return [(colour_of(name), safe(name)), ("", " "), _presence(contact)]

    def _member(self, member: Item) -> Line:
        name = str(member.get("username"))
        admin = " (admin) " if member.get("admin") else " "
        return [(colour_of(name), safe(name)), ("", admin), _presence(member)]

    def _conversation(self, item: Item) -> Line:
        if "last" not in item:
            return self._unread(item)
        line = self._group(item) if item.get("group") is not None else self._direct(item)
        if item.get("rescue"):
            sentence = tr("to go on as {to} if its realm stays lost", to=safe(item["rescue"]))
            line.append(("", ", " + sentence))
        if item.get("unread"):
            line.append(("", ", " + tr("{n} unread", n=amount(item["unread"]))))
        last = item["last"]
        if not isinstance(last, dict):
            return line
        shown = [(style, text.replace("\n", " ")) for style, text in self._messages.message(last)]
        return [*line, ("", ": "), *shown]

    def _direct(self, item: Item) -> Line:
        user, name = str(item.get("user")), item.get("name")
        shown = f" ({safe(name)})" if name not in (None, user) else ""
        presence = _presence(item)
        return [(colour_of(user), safe(user)), ("", shown + " " * bool(presence[1])), presence]

    def _unread(self, count: Item) -> Line:
        n = amount(count.get("unread"))
        if count.get("group") is not None:
            return [("", tr("{n} in {group}", n=n, group=safe(count["group"])))]
        return [("", tr("{n} from {user}", n=n, user=safe(count.get("user"))))]

    def _group_name(self, group: Item) -> Line:
        title = f" ({safe(group['title'])})" if group.get("title") else ""
        return [("place", safe(group.get("group"))), ("", title)]

    def _group(self, group: Item) -> Line:
        rest = [tr("code {code}", code=safe(group["code"]))] if group.get("code") else []
        if "members" in group:  # not in an archive
            rest.append(trn("{n} member", "{n} members", int(group["members"] or 0)))
        if group.get("closed"):
            rest.append(tr("closed"))
        if "shut" in group:
            rest.append(tr("closed by the operators of its realm"))
        if group.get("admin"):
            rest.append(tr("you are an admin"))
        elif group.get("member"):
            rest.append(tr("you are in it"))
        return [*self._group_name(group), ("", f" {', '.join(rest)}")]

    def _room(self, room: Item) -> Line:
        users = ", ".join(map(safe, room.get("users", ())))
        return [("place", safe(room.get("room"))), ("", f": {users}")]

    def _file(self, file: Item) -> Line:
        mine = self._state.is_me(str(file.get("from")))
        return self._messages.message(
            {**file, "file": file, "to": None if mine else self._state.user}
        )

    def _command(self, command: Item) -> Line:
        return [("", f"{safe(command.get('usage'))}: {safe(command.get('about'))}")]

    def _realm(self, realm: Item) -> Line:
        state = safe(realm.get("state"))
        line: Line = [("place", safe(realm.get("realm"))), ("", " "), (state, state)]
        if realm.get("since"):
            line.append(("", f" {self._messages.time(realm['since'])}"))
        if realm.get("queued"):
            line.append(("", ", " + tr("{n} queued", n=amount(realm["queued"]))))
        if realm.get("error"):
            line.append(("", f" ({safe(realm['error'])})"))
        return line

    def _invitation(self, item: Item) -> Line:
        title = f" ({safe(item['title'])})" if item.get("title") else ""
        who, group = safe(item.get("by")), safe(item.get("group"))
        sentence = tr("{by} invites you to {group}", by=who, group=group)
        return [self._at(item), ("", f"{sentence}{title}")]

    def _request(self, item: Item) -> Line:
        user, text = str(item.get("user")), safe(item.get("text") or "")
        return [self._at(item), (colour_of(user), safe(user)), ("", f": {text}")]

    def _block(self, item: Item) -> Line:
        realm = item.get("realm")
        name = f"@@{realm}" if realm is not None else str(item.get("user"))
        return [self._at(item), ("place" if realm is not None else colour_of(name), safe(name))]

    def _session(self, item: Item) -> Line:
        used = tr("last used {time}", time=self._messages.time(item.get("used")))
        parts = [safe(item.get("client")), safe(item.get("address")), used]
        if item.get("online"):
            parts.append(tr("online"))
        if item.get("current"):
            parts.append(tr("this session"))
        rest = ", ".join(part for part in parts if part)
        return [("time", f"{safe(item.get('session'))} "), ("", rest)]

    def _report(self, item: Item) -> Line:
        head = f"{safe(item.get('report'))} {self._messages.time(item.get('at'))} "
        by, reason, message = str(item.get("by")), safe(item.get("reason")), item.get("message")
        line: Line = [("time", head), (colour_of(by), safe(by)), ("", f": {reason}")]
        if not isinstance(message, dict):
            return line
        return [*line, ("", "; "), *self._messages.message(message)]

    def _at(self, item: Item) -> tuple[str, str]:
        return ("time", f"{self._messages.time(item.get('at'))} ")

    def _anything(self, item: Item) -> Line:
        parts = [f"{key} {safe(value)}" for key, value in item.items() if value is not None]
        return [("", ", ".join(parts))]

    _PAINTERS: Mapping[str, Callable[[ListRenderer, Item], Line]] = {
        "users": _user,
        "contacts": _contact,
        "members": _member,
        "conversations": _conversation,
        "groups": _group,
        "rooms": _room,
        "files": _file,
        "commands": _command,
        "realms": _realm,
        "invitations": _invitation,
        "requests": _request,
        "blocked": _block,
        "sessions": _session,
        "reports": _report,
    }


def _presence(item: Item) -> tuple[str, str]:
    if item.get("online") is None:
        return ("", "")
    if item.get("away"):
        return ("time", tr("away"))
    return ("up", tr("online")) if item["online"] else ("time", tr("offline"))
