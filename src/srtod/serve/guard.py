"""What stands before every route: who may ask, how much may come in, and what never goes out."""

import asyncio
import logging

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

_log = logging.getLogger(__name__)


class Guard:
    """Refuse foreign pages and bodies too large, too slow, too many or of another kind.

    An exception that nobody caught becomes a sentence; its trace goes to the log alone.

    Args:
        app: the application behind.
        limits: of size and time.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the application answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        upload, begun = scope["method"] == "POST", False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(Headers(scope=scope)) if upload else None
        taken = upload and refusal is None
        self._uploads += taken
        try:
            await (refusal or self.app)(scope, self._bounded(receive), send_with_headers)
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            if not begun:
                await problem(500, FAILED)(scope, receive, send_with_headers)
        finally:
            self._uploads -= taken

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        """Say why an upload is not read; one reason is that memory is not meant for more of them."""
        if _is_foreign(headers):
            return problem(403, "pages of other sites may not ask this server")
        if headers.get("content-type", "").split(";")[0].strip().lower() != "multipart/form-data":
            return problem(415, "send the image as the file 'file' of a form (multipart/form-data)")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.body_bytes:
            return problem(413, too_large(self.limits))
        if self._uploads >= self.limits.at_once:
            return problem(503, "the server is busy; try again in 1 s", {"Retry-After": "1"})
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """Receive a body within the limits; what follows it (the end of the connection) may take any time."""
        came, complete = 0, False
        deadline = asyncio.get_running_loop().time() + self.limits.upload_seconds

        async def receive_within_limits() -> Message:
            nonlocal came, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the request took too long to arrive") from None
            came += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if came > self.limits.body_bytes:
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
