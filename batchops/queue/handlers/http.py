"""The handler of `--post URL`: posts each row as JSON. Only a 2xx status means done."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.errors import UsageError
from batchops.queue.handlers import Failed, HandlerDownError, HandlerLoginError, Result, Unstarted, Values, json_line
from batchops.runtime.backoff import retry_after
from batchops.runtime.stop import Stop

RETRIED_STATUS = frozenset({408, 425, 429})
CREDENTIALS = frozenset({401, 407})
"""Statuses that refuse the credentials; no row is to blame."""
REQUEST_SECONDS = 30.0
"""Seconds that one request may take."""


class HttpHandler:
    """Sends the rows of a batch one after the other over one connection. It follows no redirects."""

    in_transaction = False
    can_crash = False
    isolate_failed = False

    def __init__(self, url: str, deadline: float) -> None:
        try:
            import urllib3
        except ImportError as error:
            raise UsageError("--post needs the extra http.", "pip install 'batchops[http]'") from error
        if urllib3.util.parse_url(url).scheme not in ("http", "https"):
            raise UsageError("--post: the address must begin with http:// or https://.")
        self._url = url
        self._deadline = deadline
        self._errors: Any = urllib3.exceptions
        # Raised before any part of a request was sent.
        self._unreached = (self._errors.NewConnectionError, self._errors.ConnectTimeoutError, self._errors.SSLError)
        self._pool = urllib3.PoolManager(retries=False, timeout=min(deadline / 2, REQUEST_SECONDS), maxsize=16)

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,  # noqa: ARG002  the protocol's shape
        stop: Stop,
    ) -> Sequence[Result]:
        # Rows that no time is left for are released: the deadline holds for the whole batch.
        end = time.monotonic() + self._deadline / 2
        results: list[Result] = []
        try:
            for row in rows:
                results.append(Unstarted() if stop.asked or time.monotonic() > end else self._one(row))
        except (HandlerDownError, HandlerLoginError):
            if not any(result is None or isinstance(result, Failed) for result in results):
                raise
        return [*results, *(Unstarted() for _ in rows[len(results) :])]

    def open(self, key: Sequence[str], documents: Collection[str], warn: Callable[[str], None]) -> None:
        """Do nothing: this handler needs none of these."""

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _one(self, row: Values) -> Result:
        body = json_line(row).encode()
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except self._unreached as error:
            message = f"Nothing answers at the address of --post ({type(error).__name__}); no attempt is counted."
            raise HandlerDownError(message, "check that the service is up; the rows wait.") from None
        except self._errors.HTTPError as error:
            # The reason names the kind of error only: urllib3's text repeats the URL, which may hold a token.
            return Failed(f"no answer: {type(error).__name__}")
        if 200 <= answer.status < 300:
            return None
        if answer.status in CREDENTIALS:
            raise HandlerLoginError(
                f"The address of --post refuses the credentials (HTTP {answer.status}); no attempt is counted.",
                "check the user, password or token in it; env:NAME and file:PATH are read once, at the start.",
            )
        retried = answer.status in RETRIED_STATUS or answer.status >= 500
        return Failed(
            f"HTTP {answer.status}", final=not retried, after=retry_after(answer.headers) if retried else None
        )
