"""Carries out requests whose files travel on data connections."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from chatd.base.errors import StorageFailed
from chatd.base.replies import Reply
from chatd.commands.results import DownloadReply, ExpectUpload, Result
from chatd.lines.data_claims import Claim

log = Logger()


async def receive(claim: Claim, expected: ExpectUpload, clock: IReactorTime) -> Result:
    """Receive a file. Raises ChatError; then nothing is stored.

    A client that ends in the middle closes both of its connections, and the file seems complete. So the other
    one has a turn of the reactor to be lost, too.
    """
    try:
        stream = await claim.connected()
        await stream.receive(expected.upload)
        await deferLater(clock, 0)
        claim.check()
    except Exception:
        expected.upload.abort()
        raise
    return await expected.finish()


async def send(claim: Claim, result: DownloadReply) -> Reply:
    """Send a file. Raises ChatError."""
    file = result.download.file
    try:
        stream = await claim.connected()
        await stream.send(file)
    except OSError as error:
        log.error("a file could not be sent: {error}", error=str(error))
        raise StorageFailed from None
    finally:
        await file.close()
    return result.reply
