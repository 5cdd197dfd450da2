"""The verbs of py-chat's own client: the keys of its requests, their commands, and the keys of replies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from chatd.base import errors
from chatd.base.errors import BadArgument
from chatd.base.file_handles import full_handle
from chatd.base.model import Message
from chatd.base.names import Address, Place
from chatd.base.replies import Contact, GroupInfo, Reply
from chatd.base.texts import Secret
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Request
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.pychat_common import (
    INVITE,
    LOGIN,
    TEXTS,
    announcement,
    content,
    group_file,
    private_file,
    registration,
    title_of,
)
from chatd.lines.dialects.verbs import Texts, Verb, send, send_file, table

Answer = dict[str, Any]


# Arguments: the keys of a request.


class PeopleType(types.AddressesType):
    """A list of usernames. What can't be a name is left out, as unknown names are."""

    about = f"a list of at most {types.MAX_PEOPLE} usernames"

    def from_json(self, name: str, value: Any) -> tuple[Address, ...]:
        if not isinstance(value, list) or len(value) > types.MAX_PEOPLE:
            raise BadArgument(argument=name, found="that", expected=self.about)
        people = []
        for each in value:
            with suppress(errors.BadName):
                people.append(types.ADDRESS.from_json(name, each))
        return tuple(people)


CONFIRM = "password-confirm"
PARTNER = Arg("p_username", types.ADDRESS)
CODE = Arg("code", types.GROUP)
MESSAGE = Arg("message", types.TEXT)
FILE = (Arg("file_name", types.FILENAME), Arg("file_size", types.SIZE))
FILE_CODE = Arg("file_code", types.NAME)
CONTACTS = Arg("contact_list", PeopleType())
USERS = Arg("user_list", PeopleType())

MEMBERS_ONLY: Texts = {errors.NotMember: "You are not a member of the group!"}
EXIT: Texts = {
    errors.NotMember: "you are not belong to this group",
    errors.UnknownGroup: "group is not available",
}
NO_FILE: Texts = {errors.UnknownFile: "file not found!"}
OWN_TEXTS: Texts = {errors.Usage: "{reason}", errors.BadSyntax: "{reason}"}
UNAUTHORIZED = TEXTS[errors.NotLoggedIn]


# The commands.


def register(username: str, password: Secret, **confirmed: Secret) -> ask.Command:
    return registration(username, password, confirmed[CONFIRM])


def add_contacts(contact_list: tuple[Address, ...]) -> ask.Command:
    return ask.AddContact(contact_list)


def delete_contacts(contact_list: tuple[Address, ...]) -> ask.Command:
    return ask.DeleteContact(contact_list)


def create_group(group_name: str) -> ask.Command:
    """Its own server let several groups have one name, so this is the title."""
    return ask.AddGroup(None, group_name)


def join_group(code: Address) -> ask.Command:
    return ask.JoinGroup(code)


def leave_group(code: Address) -> ask.Command:
    return ask.LeaveGroup(code)


def invite(code: Address, user_list: tuple[Address, ...]) -> ask.Command:
    if not user_list:
        raise BadArgument(argument="user_list", found="empty", expected="names of users")
    return ask.InviteMembers(code, user_list)


def private_chat(p_username: Address) -> ask.Command:
    return ask.ReadInbox(Place(user=p_username), newest=True)


def group_chat(code: Address) -> ask.Command:
    return ask.ReadInbox(Place(group=code), newest=True)


def send_private(p_username: Address, message: str) -> ask.Command:
    return send(p_username, message)


def send_group(code: Address, message: str) -> ask.Command:
    return ask.SendGroupMessage(code, message)


def send_private_file(p_username: Address, file_name: str, file_size: int) -> ask.Command:
    return send_file(p_username, file_name, file_size)


def send_group_file(code: Address, file_name: str, file_size: int) -> ask.Command:
    return ask.SendGroupFile(code, file_name, file_size)


def get_private_file(p_username: Address, file_code: str) -> ask.Command:
    return private_file(p_username, file_code)


def get_group_file(code: Address, file_code: str) -> ask.Command:
    return group_file(code, file_code)


# Replies.


def said(message: str) -> Callable[[Request, Reply], Answer]:
    return lambda _request, _reply: {"message": message}


def logged_in(_request: Request, reply: Reply) -> Answer:
    return {"message": "you are logged in now", "token": reply.fields["tokenId"]}


def contacts(_request: Request, reply: Reply) -> Answer:
    names = [each.username for each in reply.items if isinstance(each, Contact)]
    return {"message": f"{len(names)} contacts", "contact_list": names}


def changed(what: str) -> Callable[[Request, Reply], Answer]:
    return lambda _request, reply: {"message": f"{reply.data['changed']} {what}"}


def created(_request: Request, reply: Reply) -> Answer:
    return {"message": "group has been created", "code": reply.fields["groupcode"]}


def groups(_request: Request, reply: Reply) -> Answer:
    found = [
        {"code": each.code or each.group, "group_name": title_of(each)}
        for each in reply.items
        if isinstance(each, GroupInfo)
    ]
    return {"message": f"{len(found)} groups", "group_list": found}


def invited(_request: Request, reply: Reply) -> Answer:
    unknown = reply.data.get("unknown")
    also = f"; unknown users: {', '.join(unknown)}" if unknown else ""
    return {"message": f"{len(reply.data.get('joined', ()))} invited{also}"}


def messages(_request: Request, reply: Reply) -> Answer:
    found = [
        {"from_user": each.sender, "text": content(each)}
        for each in reply.items
        if isinstance(each, Message)
    ]
    return {"message": f"{len(found)} messages", "messages": found}


def private_file_sent(_request: Request, reply: Reply) -> Answer:
    """The sender learns the code as from a message."""
    text = announcement(reply.fields["name"], reply.fields["code"])
    return {"FOR": "NOTIF", "from_user": reply.data["sender"], "text": text}


def group_file_sent(_request: Request, reply: Reply) -> Answer:
    text = announcement(reply.fields["name"], reply.fields["code"])
    return {"FOR": "MSG-GROUP-SEND", "status": "success", "message": text}


def file_found(_request: Request, reply: Reply) -> Answer:
    """The client writes the file under this name, in the folder that it runs in."""
    return {
        "message": "the file follows",
        "file_name": full_handle(reply.data["code"], str(reply.fields["name"])),
        "file_size": reply.fields["size"],
    }


VERBS = table(
    Verb(
        "AUTH-REGISTER",
        ask.Register,
        (args.USERNAME, args.PASSWORD, Arg(CONFIRM, types.SECRET)),
        said("you are registered now!"),
        make=register,
    ),
    Verb("AUTH-LOGIN", ask.LogIn, (args.USERNAME, args.PASSWORD), logged_in, LOGIN),
    Verb("AUTH-LOGOUT", ask.LogOut, (), said("you are logged out now")),
    Verb("CONTACT-GET", ask.ListContacts, (), contacts),
    Verb(
        "CONTACT-ADD",
        ask.AddContact,
        (CONTACTS,),
        changed("new contact added"),
        make=add_contacts,
    ),
    Verb(
        "CONTACT-DEL",
        ask.DeleteContact,
        (CONTACTS,),
        changed("contact deleted"),
        make=delete_contacts,
        aliases=("CONTACT-DELETE",),
    ),
    Verb(
        "GROUP-CREATE",
        ask.AddGroup,
        (Arg("group_name", types.TITLE),),
        created,
        make=create_group,
    ),
    Verb("GROUP-GET", ask.ListOwnGroups, (), groups),
    Verb("GROUP-JOIN", ask.JoinGroup, (CODE,), said("you have joined this group"), make=join_group),
    Verb(
        "GROUP-EXIT", ask.LeaveGroup, (CODE,), said("you have left this group"), EXIT, leave_group
    ),
    Verb("GROUP-INVITE", ask.InviteMembers, (CODE, USERS), invited, INVITE, invite),
    Verb(
        "MSG-PRIVATE-GET",
        ask.ReadInbox,
        (PARTNER,),
        messages,
        make=private_chat,
        aliases=("CHAT-PRIVATE-GET",),
    ),
    Verb(
        "MSG-GROUP-GET",
        ask.ReadInbox,
        (CODE,),
        messages,
        MEMBERS_ONLY,
        group_chat,
        aliases=("CHAT-GROUP-GET",),
    ),
    Verb(
        "MSG-PRIVATE-SEND",
        ask.SendMessage,
        (PARTNER, MESSAGE),
        said("message sent"),
        {errors.UnknownUser: "user not found"},
        send_private,
        aliases=("CHAT-PRIVATE-SEND",),
    ),
    Verb(
        "MSG-GROUP-SEND",
        ask.SendGroupMessage,
        (CODE, MESSAGE),
        said("message sent"),
        MEMBERS_ONLY,
        send_group,
        aliases=("CHAT-GROUP-SEND",),
    ),
    Verb(
        "FILE-PRIVATE-SEND",
        ask.SendFile,
        (PARTNER, *FILE),
        private_file_sent,
        {errors.UnknownUser: "user not exist"},
        send_private_file,
        aliases=("FILE-SEND-PRIVATE",),
    ),
    Verb(
        "FILE-GROUP-SEND",
        ask.SendGroupFile,
        (CODE, *FILE),
        group_file_sent,
        MEMBERS_ONLY,
        send_group_file,
        aliases=("FILE-SEND-GROUP",),
    ),
    Verb(
        "FILE-PRIVATE-GET",
        ask.GetFile,
        (PARTNER, FILE_CODE),
        file_found,
        NO_FILE,
        get_private_file,
        aliases=("FILE-GET-PRIVATE",),
    ),
    Verb(
        "FILE-GROUP-GET",
        ask.GetFile,
        (CODE, FILE_CODE),
        file_found,
        NO_FILE,
        get_group_file,
        aliases=("FILE-GET-GROUP",),
    ),
)
