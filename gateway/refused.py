"""A request that is refused: what the caller is told, and what it counts as."""

from collections.abc import Mapping

from aiohttp import web

from gateway.answers import json_response, refusal


class Refused(Exception):
    """Ends the handling of a request.

    Args:
        status: HTTP status from 400.
        verdict: as the metrics call it, one of few.
        text: for the caller; nothing secret is in it.
        retry_after: seconds until it may be repeated; 0 where time does not mend it.
        headers: further headers.
    """

    def __init__(
        self, status: int, verdict: str, text: str, *, retry_after: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.verdict, self.text = status, verdict, text
        self._retry_after, self._headers = retry_after, dict(headers or {})

    def response(self) -> web.Response:
        """Return the answer that tells of it."""
        if self._retry_after:
            return refusal(self.status, self.text, self._retry_after)
        return json_response({"error": self.text}, self.status, self._headers)
