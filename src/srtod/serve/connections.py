"""Connections that ask for nothing are closed, and what is no request is answered as everything else is."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from srtod.serve.guard import HEADERS, problem

MOST = 64
"""Connections held at once."""
SILENCE = 10.0
"""Seconds in which a connection has to send the whole header of its next request."""


class Connection(H11Protocol):
    """Closed when silent for :data:`SILENCE` seconds, or when the most silent of more than :data:`MOST`."""

    _since = 0.0
    _watch: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; where there are too many connections, one that waits longer ends."""
        super().connection_made(transport)
        alive = [own for own in self.connections if not own.transport.is_closing()]
        if len(alive) > MOST:
            idle = [own for own in alive if isinstance(own, Connection) and own.is_idle]
            oldest = min((own for own in idle if own is not self), key=lambda own: own._since, default=None)
            if oldest is None:
                self._end(503, "the server has too many connections; try again in 1 s")
                return
            oldest.transport.abort()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._wait()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no request of HTTP."""
        self._end(400, msg)

    def _wait(self) -> None:
        self._since = self.loop.time()
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self.loop.call_later(SILENCE, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self.is_idle:
            self.transport.close()

    def _end(self, status: int, sentence: str) -> None:
        answer = problem(status, sentence, HEADERS | {"Connection": "close"})
        start = h11.Response(status_code=status, headers=answer.raw_headers, reason=STATUS_PHRASES[status])
        for event in (start, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
