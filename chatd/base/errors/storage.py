"""Errors about files, quotas, and a disk or database that can't store anything."""

from __future__ import annotations

from chatd.base.errors.base import BadRequest, ChatError


class UnknownFile(ChatError):
    code = "unknown-file"
    sentence = "There is no file {name} that you may fetch; {advice}"
    defaults = {"advice": "files lists them"}


class BadFileName(BadRequest):
    code = "bad-filename"
    sentence = "{name} is not a valid file name; use one with letters or digits in it"


class FileTooLarge(ChatError):
    code = "file-too-large"
    sentence = "The file has {size} bytes and {limit} are allowed; send a smaller one"


class QuotaExceeded(ChatError):
    code = "quota-exceeded"
    sentence = "Your files may take {limit} bytes and {left} are left; send a smaller one"


class BadPicture(ChatError):
    code = "bad-picture"
    sentence = "{name} can't be shown as a picture: {reason}; send a PNG, JPEG, WebP or GIF"
    defaults = {"reason": "it is another file, or too large"}


class RoomFilesFull(ChatError):
    code = "room-files-full"
    sentence = (
        "There is no space for this file among the files of rooms (at most {files} files with {limit} "
        "bytes); send it to people or to a group"
    )


class UploadOffset(ChatError):
    code = "upload-offset"
    sentence = "The realm has {offset} bytes of that file; continue from there"


class TooManyUploads(ChatError):
    code = "too-many-uploads"
    sentence = "You have {limit} unfinished uploads; finish or cancel one of them first"


class NoDataDoor(ChatError):
    code = "no-data-door"
    sentence = (
        "Files of this client travel on a second port, which is closed here; ask the operator to add "
        "tugas4-data = tcp:1338 to [listen] in chatd.ini"
    )


class NoDataConnection(ChatError):
    code = "no-data-connection"
    sentence = "No connection for the file came within {seconds} s; try again"


class TransferConflict(ChatError):
    code = "transfer-conflict"
    sentence = (
        "Two transfers of files from your network address began at once, so both were stopped; wait "
        "{seconds} s, and then send or fetch one at a time"
    )


class TransferBroken(ChatError):
    code = "transfer-broken"
    sentence = "The connection of the file broke off; try again"


class FileArriving(ChatError):
    code = "file-arriving"
    sentence = "The file {name} is still on its way from another realm; try again later"


class FileLost(ChatError):
    code = "file-lost"
    sentence = "The file {name} has not come from its realm: {reason}; have it sent again"


class TooMuchArriving(ChatError):
    """Files of this size may not be on their way at a time."""

    code = "too-much-arriving"
    sentence = (
        "Files of {limit} bytes may be on their way from one realm to {where} at a time, and {left} are "
        "left; try again later"
    )
    defaults = {"where": "this realm"}


class FileMissing(ChatError):
    code = "file-missing"
    sentence = "The file {name} is missing from the realm's disk; have it sent again"


class FileDamaged(ChatError):
    code = "file-damaged"
    sentence = (
        "The file {name} is damaged on the realm's disk and can't be downloaded; have it sent again"
    )


class BackupFailed(ChatError):
    """`reason` says what to do."""

    code = "backup-failed"
    sentence = "That was not done: {reason}"


class ReloadFailed(ChatError):
    """`reason` says what to do."""

    code = "reload-failed"
    sentence = "Nothing was changed: {reason}"


class LocalOnly(ChatError):
    code = "local-only"
    sentence = "{command} is only for chatctl on the realm's own machine; run it there"


class StillRunning(ChatError):
    code = "still-running"
    sentence = "The realm is running; stop it, and then run chatctl {command} again"


class StorageFailed(ChatError):
    code = "storage-failed"
    sentence = (
        "The realm can't store anything at the moment, and nothing of this request was saved; try "
        "again later"
    )


class DiskFull(StorageFailed):
    code = "disk-full"
    sentence = (
        "The realm's disk is nearly full, so it accepts no messages or files at the moment; try again"
        " later, and tell its operator"
    )


class MessageQuota(ChatError):
    code = "message-quota"
    sentence = (
        "You may send {limit} bytes of messages a day and have used them up; try again in {minutes} "
        "minutes"
    )


class RealmQuota(ChatError):
    """Like MessageQuota, for a whole other realm."""

    code = "realm-quota"
    sentence = (
        "{where} accepts {limit} bytes of messages a day from one realm, and they are used up; try "
        "again in {minutes} minutes"
    )
    defaults = {"where": "this realm"}
