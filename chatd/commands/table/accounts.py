"""The commands for accounts, sessions and contacts."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import (
    FILENAME,
    PEOPLE_ERRORS,
    PERSON_OR_REALM,
    PLACE,
    SIZE,
    USER,
)

ROWS: tuple[Row, ...] = (
    Row(
        "register",
        ask.Register,
        "create an account and log in",
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
        "continue a session with its token",
        (Arg("token", types.SECRET),),
        login=False,
        errors=(errors.BadToken,),
    ),
    Row(
        "logout",
        ask.LogOut,
        "end the session and invalidate its token",
        (Arg("everywhere", types.FLAG, optional=True, named=True),),
        aliases=("auth_logout", "logoff"),
    ),
    Row("sessions", ask.ListSessions, "list your sessions and with what each was used last"),
    Row(
        "revoke",
        ask.RevokeSession,
        "end one of your sessions",
        (Arg("session", types.SIZE, also=("session_id",)),),
        errors=(errors.UnknownSession,),
    ),
    Row(
        "password",
        ask.ChangePassword,
        "change your password; your other sessions end",
        (Arg("old", types.SECRET), Arg("new", types.SECRET)),
        aliases=("passwd",),
        errors=(errors.WrongPassword, errors.WeakPassword, errors.TooManyAttempts, errors.Busy),
    ),
    Row(
        "export",
        ask.ExportData,
        "download your profile, messages and files as a ZIP archive",
        errors=(errors.TooManyExports, errors.Busy, errors.DiskFull),
    ),
    Row(
        "deleteaccount",
        ask.DeleteAccount,
        "delete your account; nobody can take its name again",
        (
            Arg("password", types.SECRET),
            Arg("messages", types.KEEP_OR_ERASE, also=("mode",)),
        ),
        errors=(errors.WrongPassword, errors.TooManyAttempts, errors.Busy, errors.LastOperator),
    ),
    Row(
        "claim",
        ask.ClaimRealm,
        "become the first operator with the code in the realm's state folder; replies like whoami",
        (Arg("code", types.SECRET),),
        errors=(errors.WrongCode, errors.AlreadyClaimed, errors.TooManyAttempts),
    ),
    Row("whoami", ask.ShowAccount, "show your account"),
    Row(
        "profile",
        ask.ChangeProfile,
        "change your display name or country; replies like whoami",
        (
            Arg("name", types.DISPLAY_NAME, optional=True),
            Arg("country", types.COUNTRY, optional=True),
        ),
    ),
    Row(
        "status",
        ask.SetStatus,
        "show others a short text about you, or without one remove it",
        (Arg("text", types.STATUS, optional=True),),
    ),
    Row(
        "away",
        ask.SetAway,
        "show others that you are away, or back",
        (Arg("on", types.FLAG),),
    ),
    Row(
        "setpicture",
        ask.SetPicture,
        "set a picture, yours or a group's: after the READY reply, send exactly that many raw bytes",
        (PLACE, FILENAME, SIZE),
        errors=(
            errors.NotYourPicture,
            errors.UnknownGroup,
            errors.NotMember,
            errors.NotAdmin,
            errors.BadFileName,
            errors.FileTooLarge,
            errors.BadPicture,
            errors.TooManyUploads,
            errors.Busy,
        ),
    ),
    Row(
        "removepicture",
        ask.RemovePicture,
        "remove a picture, yours or a group's",
        (PLACE,),
        errors=(errors.NotYourPicture, errors.UnknownGroup, errors.NotMember, errors.NotAdmin),
    ),
    Row(
        "getpicture",
        ask.GetPicture,
        "download a picture: exactly that many raw bytes follow the reply",
        (PLACE,),
        errors=(*PEOPLE_ERRORS, errors.UnknownGroup, errors.UnknownPicture),
    ),
    Row("info", ask.ListActive, "list the active users", aliases=("who",)),
    Row("users", ask.ListUsers, "list all users of this realm", aliases=("ls",)),
    Row("contacts", ask.ListContacts, "list your contacts and show who is online"),
    Row(
        "addcontact",
        ask.AddContact,
        "add someone to your contacts",
        (USER,),
        errors=(*PEOPLE_ERRORS, errors.ContactExists, errors.TooManyContacts),
    ),
    Row(
        "delcontact",
        ask.DeleteContact,
        "remove someone from your contacts",
        (USER,),
        errors=(errors.UnknownContact,),
    ),
    Row(
        "block",
        ask.BlockPerson,
        "refuse the messages of a person or of a whole realm",
        (PERSON_OR_REALM,),
        errors=(errors.UnknownUser, errors.TooManyBlocks),
    ),
    Row(
        "unblock",
        ask.UnblockPerson,
        "lift a block",
        (PERSON_OR_REALM,),
        errors=(errors.NotBlocked,),
    ),
    Row("blocked", ask.ListBlocks, "list the people and realms that you have blocked"),
)
