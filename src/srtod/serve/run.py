"""``srtod serve``: one address, one detector, until it is stopped."""

import socket
from collections.abc import Collection
from importlib import import_module

from srtod.serve.limits import Limits
from srtod.support.errors import InputError, missing_extra
from srtod.support.progress import say
from srtod.types import Finder

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_EVERYWHERE = ("0.0.0.0", "::")


def require_extra() -> None:
    """Make sure that the packages of the extra are there.

    Raises:
        InputError: one is not.
    """
    for package in ("fastapi", "python_multipart", "uvicorn"):
        try:
            import_module(package)
        except ImportError as error:
            raise missing_extra("serve", f"serve needs the package {package}", error) from error


def serve(finder: Finder, *, host: str = "127.0.0.1", port: int = 8000, limits: Limits | None = None) -> None:
    """Serve page and routes until Ctrl+C.

    Args:
        finder: a detector in evaluation mode, or a program made from one.
        host: address to listen at; anything but a loopback address lets others in, without a password.
        port: 0 takes a free one.
        limits: what is refused; by default also what does not fit into the free memory.

    Raises:
        InputError: the extra ``serve`` is not installed, or the address cannot be listened at.
    """
    require_extra()
    import uvicorn

    from srtod.serve.app import create_app
    from srtod.serve.connections import Connection

    listening = listen(host, port)
    app = create_app(finder, limits=limits, hosts=_names(host))
    app.state.queue.submit(app.state.served.warm_up).result()
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=Connection,
        timeout_graceful_shutdown=5,
    )
    shown = f"[{host}]" if ":" in host else host
    say(f"http://{shown}:{listening.getsockname()[1]} (Ctrl+C stops)")
    if shown not in LOOPBACK:
        say("anyone who reaches this address can use it: there is no password")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        say("stopped")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        InputError: the port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host}:{port}: cannot be listened at: {reason}; choose --host or --port"
        ) from error


def _names(host: str) -> Collection[str]:
    """Names the server may be asked for under; all, where it listens at all addresses."""
    return () if host in _EVERYWHERE else {*LOOPBACK, host.lower(), f"[{host.lower()}]"}
