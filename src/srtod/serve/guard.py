"""What stands before every route: who may ask, how much may come in, and what never goes out."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from srtod.serve.limits import Limits

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Sent with every answer."""

FAILED = "the server failed on this request; its log says why"

_PATIENCE = 2.0
"""Seconds for which no upload is given up in favour of another."""
_SLOW = 50_000
"""Bytes a second; slower ones are given up once there are too many uploads."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Arrival:
    """An upload on its way: when it began (by the loop's clock), and what has come of it."""

    began: float
    deadline: float
    came: int = 0
    complete: bool = False
    wait: asyncio.Timeout | None = None

    def rate(self, now: float) -> float:
        """Bytes a second so far; what is complete, or has just begun, is fast enough."""
        waited = now - self.began
        return float("inf") if self.complete or waited < _PATIENCE else self.came / waited

    def give_up(self, now: float) -> None:
        """End the wait for the next bytes."""
        self.deadline = now
        if self.wait is not None and not self.wait.expired():
            self.wait.reschedule(now)


class Guard:
    """Refuse foreign names and pages, and bodies too large, too slow, too many or of another kind.

    An exception that nobody caught becomes a sentence; its trace goes to the log alone. HEAD is answered as
    GET, whose body the server below leaves out.

    Args:
        app: the application behind.
        limits: of size and time.
        hosts: names under which the server may be asked for; empty allows all.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, hosts: Collection[str] = ()) -> None:
        self.app = app
        self.limits = limits
        self.hosts = hosts
        self._arrivals: set[_Arrival] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the application answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        upload, begun = scope["method"] == "POST", False
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        now = asyncio.get_running_loop().time()
        headers = Headers(scope=scope)
        refusal = self._foreign_name(headers) or (self._refusal(headers, now) if upload else None)
        arrival = _Arrival(now, now + self.limits.upload_seconds)
        if upload and refusal is None:
            self._arrivals.add(arrival)
        try:
            await (refusal or self.app)(inner, self._bounded(receive, arrival), send_with_headers)
        except asyncio.CancelledError:  # the server stops, or whoever asked is gone
            if not begun:
                await problem(503, "the server was stopped")(scope, receive, send_with_headers)
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            if not begun:
                await problem(500, FAILED)(scope, receive, send_with_headers)
        finally:
            self._arrivals.discard(arrival)

    def _foreign_name(self, headers: Headers) -> JSONResponse | None:
        """Refuse who asks for another server's name."""
        if not self.hosts or _name_of(headers.get("host", "")) in self.hosts:
            return None
        return problem(400, "this server has another name; ask for the one that it listens at")

    def _refusal(self, headers: Headers, now: float) -> JSONResponse | None:
        """Say why an upload is not read; one reason is that memory is not meant for more of them."""
        if _is_foreign(headers):
            return problem(403, "pages of other sites may not ask this server")
        if headers.get("content-type", "").split(";")[0].strip().lower() != "multipart/form-data":
            return problem(415, "send the image as the file 'file' of a form (multipart/form-data)")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.body_bytes:
            return problem(413, too_large(self.limits))
        if len(self._arrivals) >= self.limits.at_once and not self._made_room(now):
            return problem(503, "the server is busy; try again in 1 s", {"Retry-After": "1"})
        return None

    def _made_room(self, now: float) -> bool:
        """Give up the slowest upload where it is so slow that it only takes a place; tell whether."""
        slowest = min(self._arrivals, key=lambda arrival: arrival.rate(now))
        if slowest.rate(now) > _SLOW:
            return False
        self._arrivals.discard(slowest)
        slowest.give_up(now)
        return True

    def _bounded(self, receive: Receive, arrival: _Arrival) -> Receive:
        """Receive a body within the limits; what follows it (the end of the connection) may take any time."""

        async def receive_within_limits() -> Message:
            if arrival.complete:
                return await receive()
            try:
                async with asyncio.timeout_at(arrival.deadline) as arrival.wait:
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the request took too long to arrive") from None
            finally:
                arrival.wait = None
            arrival.came += len(message.get("body", b""))
            arrival.complete = not message.get("more_body", False)
            if arrival.came > self.limits.body_bytes:
                raise HTTPException(413, too_large(self.limits))
            return message

        return receive_within_limits


def problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says in one sentence why there is none."""
    return JSONResponse({"detail": sentence}, status_code=status, headers=headers)


def too_large(limits: Limits) -> str:
    """What is said to a file that is too large."""
    return f"the file is too large; this server takes {limits.upload_megabytes:g} MB at most"


def _is_foreign(headers: Headers) -> bool:
    """Tell whether a page of another site sent this; what is no browser says nothing of sites."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("none", "same-origin")
    # Browsers leave it out where the server's address is neither https nor of their own machine.
    return origin is not None and origin.rpartition("//")[2].lower() != headers.get("host", "").lower()


def _name_of(host: str) -> str:
    """The header ``Host`` without its port."""
    host = host.lower()
    return host if host.endswith("]") else host.rpartition(":")[0] or host
