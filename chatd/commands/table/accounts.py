"""Accounts, sessions and contacts."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import PEOPLE_ERRORS, USER

ROWS: tuple[Row, ...] = (
    Row(
        "register",
        ask.Register,
        "make an account and log in to it",
        (
            Arg("username", types.NAME),
            Arg("password", types.SECRET),
            Arg("name", types.DISPLAY_NAME, optional=True),
            Arg("country", types.DISPLAY_NAME, optional=True),
        ),
        aliases=("auth_register", "signup"),
        login=False,
        errors=(
            errors.UserExists,
            errors.ReservedName,
            errors.WeakPassword,
            errors.RegistrationClosed,
            errors.TooManyRegistrations,
            errors.Busy,
            errors.AlreadyLoggedIn,
        ),
    ),
    Row(
        "auth",
        ask.LogIn,
        "log in",
        (Arg("username", types.NAME), Arg("password", types.SECRET)),
        aliases=("login", "auth_login", "signin"),
        login=False,
        errors=(errors.UnknownUser, errors.WrongPassword, errors.TooManyAttempts, errors.Busy),
    ),
    Row(
        "resume",
        ask.ResumeSession,
        "go on with the session of a token",
        (Arg("token", types.SECRET),),
        login=False,
        errors=(errors.BadToken,),
    ),
    Row(
        "logout",
        ask.LogOut,
        "end the session; its token is worth nothing afterwards",
        (Arg("everywhere", types.FLAG, optional=True, named=True),),
        aliases=("auth_logout", "logoff"),
    ),
    Row(
        "password",
        ask.ChangePassword,
        "change one's password; one's other sessions end",
        (Arg("old", types.SECRET), Arg("new", types.SECRET)),
        aliases=("passwd",),
        errors=(errors.WrongPassword, errors.WeakPassword, errors.TooManyAttempts, errors.Busy),
    ),
    Row(
        "claim",
        ask.ClaimRealm,
        "become the first operator, by the code in the realm's state folder; answers as whoami does",
        (Arg("code", types.SECRET),),
        errors=(errors.WrongCode, errors.AlreadyClaimed, errors.TooManyAttempts),
    ),
    Row("whoami", ask.ShowAccount, "who one is"),
    Row(
        "profile",
        ask.ChangeProfile,
        "change one's display name or country; answers as whoami does",
        (
            Arg("name", types.DISPLAY_NAME, optional=True),
            Arg("country", types.COUNTRY, optional=True),
        ),
    ),
    Row("info", ask.ListActive, "who is active", aliases=("who",)),
    Row("users", ask.ListUsers, "everybody in this realm", aliases=("ls",)),
    Row("contacts", ask.ListContacts, "one's contacts, and who of them is online"),
    Row(
        "addcontact",
        ask.AddContact,
        "put someone on the list of contacts",
        (USER,),
        errors=(*PEOPLE_ERRORS, errors.ContactExists, errors.TooManyContacts),
    ),
    Row(
        "delcontact",
        ask.DeleteContact,
        "take someone off the list of contacts",
        (USER,),
        errors=(errors.UnknownContact,),
    ),
)
