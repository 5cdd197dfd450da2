"""The site: its resources, the headers of every answer, and its connections.

```
/  /sw.js  /manifest.webmanifest  /static/…   the files of the browser client
/session  /accounts                           logging in and out, registering
/reset                                        choosing another password by a link
/ws                                           the json dialect over WebSocket
/uploads/<key>  /files/<code>                 files
/pictures/<place>                             pictures of people and groups
/join/<code>                                  joining a group by a link
/thumbnails/<code>                            small versions of files that are pictures
/export                                       everything that an account has here
/import                                       the archive of an account elsewhere
/.well-known/chatd.json                       where other realms reach this one
/healthz  /readyz  /livez                     probes
```
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IAddress
from twisted.web.resource import Resource
from twisted.web.server import Request

from chatd.base.cache import Cache
from chatd.base.errors import ChatError
from chatd.base.isolation import guarded
from chatd.base.throttle import TokenBucket
from chatd.commands.sessions import Sessions
from chatd.lines.connections import Connections, OpenConnections, host_of
from chatd.lines.factory import ChatLineFactory
from chatd.net.eager import FlushQueue
from chatd.service.chat_service import ChatService
from chatd.web.access import AccessControl
from chatd.web.answers import Refusal
from chatd.web.channel import ChatChannel, QuietSite
from chatd.web.downloads import DownloadResource
from chatd.web.exports import ExportResource
from chatd.web.health import HealthResource, LiveResource, ReadyResource
from chatd.web.hosts import Hosts
from chatd.web.imports import ImportResource
from chatd.web.joining import JoinResource
from chatd.web.lazy_resource import LazyResource
from chatd.web.password_resets import ResetResource
from chatd.web.pictures import PictureResource
from chatd.web.request import ChatRequest
from chatd.web.sessions import AccountsResource, SessionResource
from chatd.web.static import AT_ROOT, NotFoundResource, StaticFiles, shipped_files
from chatd.web.thumbnails import ThumbnailResource
from chatd.web.uploads import UploadResource
from chatd.web.web_dialect import WebDialect
from chatd.web.whereabouts import WhereaboutsResource

PROXIED_SOURCES = 10_000  # clients behind proxies whose rates are remembered
IDLE = 60.0  # seconds without a request, or for one to arrive, after which a connection is closed

# Only the site's own scripts, styles and connections; no framing; no text becomes markup (Trusted Types).
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types chatd",  # the only policy is in worker.js, for the worker's URL
    )
)
HEADERS = {
    "Server": "chatd",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
# Every answer has them, so they are encoded once.
_ENCODED = [(name.encode(), [value.encode()]) for name, value in HEADERS.items()]
HSTS = "max-age=31536000"  # a year, in seconds


class Root(Resource):
    """The root: sets the headers of every answer, and refuses foreign hosts."""

    def __init__(self, front: Resource, hosts: Hosts) -> None:
        super().__init__()
        self._front = front
        self._hosts = hosts
        self._nowhere = NotFoundResource()

    def getChildWithDefault(self, path: bytes, request: Request) -> Resource:
        for name, value in _ENCODED:
            request.responseHeaders.setRawHeaders(name, value)
        if request.isSecure():
            request.setHeader("Strict-Transport-Security", HSTS)
        try:
            self._hosts.check(request)
        except ChatError as error:
            return Refusal(error)
        found: Resource = super().getChildWithDefault(path, request)
        return found

    def getChild(self, path: bytes, request: Request) -> Resource:
        if path.decode(errors="replace") not in AT_ROOT or request.postpath:
            return self._nowhere
        request.postpath = [path]
        return self._front


class ChatSite(QuietSite):
    """The connections of the web door. They count with those of all other doors."""

    def __init__(
        self,
        root: Resource,
        lines: ChatLineFactory,
        connections: Connections,
        uploads: UploadResource,
        pictures: PictureResource,
        imports: ImportResource,
        clock: Any,
    ) -> None:
        super().__init__(root, requestFactory=ChatRequest, timeout=IDLE, reactor=clock)
        self.protocol = ChatChannel  # type: ignore[assignment,method-assign]
        self.errors = lines.service.counters.errors  # counted by answers.refuse
        self.clock = clock
        self._lines = lines
        self._door = lines.dialect.name
        self._connections = connections
        self._uploads = uploads
        self._pictures = pictures
        self._imports = imports
        # By the network address of clients behind proxies.
        self._buckets: Cache[str, TokenBucket] = Cache(PROXIED_SOURCES)
        self._under_way: Counter[str] = Counter()
        self._channels: OpenConnections[Any] = OpenConnections()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The channel of a new connection; None if there are too many connections."""
        # A proxy's connections are shared by many clients, except those that become WebSockets.
        trusted = self._lines.service.config.web.trusted_proxies
        is_proxy = trusted.contains(getattr(addr, "host", None))
        source = None if is_proxy else host_of(addr)
        self._connections.arrive(self._door, source)
        if refusal := self._lines.admit(source):
            self.errors[refusal.code] += 1
            self._connections.leave(self._door, source)
            return None
        channel: Any = super().buildProtocol(addr)

        def gone() -> None:
            if channel in self._channels:
                self._connections.leave(self._door, source)
                self._channels.discard(channel)

        channel.on_gone = gone
        channel.trusted = trusted
        channel.bucket = None if is_proxy else self._lines.new_bucket()
        self._channels.add(channel)
        return channel

    def begin(self, source: str) -> bool:
        """Count another request of `source` behind a proxy, until `end`. Returns False, and counts nothing,
        if there are too many."""
        if self._under_way[source] >= self._lines.limits.connections_per_address:
            return False
        self._under_way[source] += 1
        return True

    def end(self, source: str) -> None:
        """Stop counting a request."""
        self._under_way[source] -= 1
        if not self._under_way[source]:
            del self._under_way[source]

    def pause_for(self, source: str) -> float:
        """The seconds that a request through a proxy has to wait. The connection itself can't be paused,
        because other clients share it."""
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = self._lines.new_bucket()
        return bucket.take(self.clock.seconds())

    def finish(self) -> Deferred[Any]:
        """Close all connections. Fires when they are closed."""
        for channel in self._channels:
            if not guarded("an HTTP connection was not finished", channel.finish):
                guarded("nor was it aborted", channel.transport.abortConnection)
        emptied = self._channels.emptied()
        self._pictures.stop()
        self._imports.stop()
        stopped = Deferred.fromCoroutine(self._uploads.stop())
        return DeferredList([self._lines.finish(), stopped, emptied])

    def refusal(self, host: str | None) -> ChatError | None:
        """The error for a request of a client whose address is banned."""
        return self._lines.service.access_bans.refusal(host)

    def close_banned(self) -> None:
        """Close the connections of clients whose addresses are banned. An answer that is under way is cut
        off, and further requests are refused."""
        self._lines.close_banned()
        for channel in self._channels:
            guarded("a banned connection was not closed", channel.close_banned, self.refusal)

    def abort(self) -> None:
        """Drop the connections that are still open."""
        self._lines.abort()
        for channel in self._channels:
            guarded("an HTTP connection was not aborted", channel.transport.abortConnection)


def make_site(
    service: ChatService, sessions: Sessions, connections: Connections, flush_queue: FlushQueue
) -> ChatSite:
    lines = ChatLineFactory(service, sessions, connections, flush_queue, WebDialect())
    access = AccessControl(service, sessions, connections.number)
    files = shipped_files()
    root = Root(
        StaticFiles(files, AT_ROOT), Hosts(service.config.realm, lambda: service.config.web.hosts)
    )
    root.putChild(b"static", StaticFiles(files))
    root.putChild(b"session", SessionResource(service, access))
    root.putChild(b"accounts", AccountsResource(service, access))
    root.putChild(b"reset", ResetResource(service, access))
    root.putChild(b"healthz", HealthResource(service, access))
    root.putChild(b"readyz", ReadyResource(service, access))
    root.putChild(b"livez", LiveResource(service, access))
    root.putChild(b"ws", LazyResource(partial(_web_sockets, lines, access)))
    uploads, pictures = UploadResource(service, access), PictureResource(service, access)
    root.putChild(b"uploads", uploads)
    root.putChild(b"files", DownloadResource(service, access))
    root.putChild(b"join", JoinResource(service, access, files))
    root.putChild(b"export", ExportResource(service, access))
    imports = ImportResource(service, access)
    root.putChild(b"import", imports)
    root.putChild(b"pictures", pictures)
    root.putChild(b".well-known", WhereaboutsResource(service, access))
    root.putChild(b"thumbnails", ThumbnailResource(service, access))
    return ChatSite(root, lines, connections, uploads, pictures, imports, service.clock)


def _web_sockets(lines: ChatLineFactory, access: AccessControl) -> Resource:
    from chatd.web.websocket import WebSockets

    return WebSockets(lines, access)
