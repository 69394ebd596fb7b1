"""The destination in a bucket of S3, or of a server with its protocol: creates objects once, and reads them back."""

import mmap
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from batchops.archive.aws_environment import settings_of
from batchops.archive.s3_requests import Requests
from batchops.archive.segments import sha256_of
from batchops.archive.staging import StagingFolder
from batchops.errors import (
    BatchopsError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    TransientError,
    UnreachableError,
    UsageError,
)

SCHEME = "s3"
CONNECT_SECONDS, ANSWER_SECONDS = 10, 300
"""Timeouts for a connection, and for the transfer of one object."""
RETRIES, RETRY_SECONDS = 2, 10
"""Retries of one request, and seconds for all of them. The run itself retries longer problems, and reports them."""
PART = 1 << 20
_CODE = re.compile(r"<Code>\s*([^<]*?)\s*</Code>|\(code: (\w+)\)")
"""Matches the code of an error, in the store's own form and in obstore's for an object that was not removed."""
_STATUS_OF = {"AccessDenied": "403", "InternalError": "500", "SlowDown": "503"}
"""The status codes of errors that come without one, since the store has answered for many objects at once."""
_MESSAGE = re.compile(r"<Message>\s*([^<]*?)\s*</Message>")
_STATUS = re.compile(r"status code: (\d{3})")
_REASON = re.compile(r"(?:HTTP error|Generic \S+ error|error): (.+)")
_TIMED_OUT = "kind: Timeout"
_CREDENTIALS = frozenset(
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId",
     "AuthFailure", "TokenRefreshRequired")
)  # fmt: skip
_CHECK = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_PROFILE."


@dataclass(frozen=True)
class BucketAddress:
    """A bucket, and the prefix of the names of its objects."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}://{self.bucket}/{self.prefix}".rstrip("/")


def bucket_address(text: str) -> BucketAddress:
    """Return the address in `s3://BUCKET/PREFIX`; raise UsageError if it is not valid."""
    parts = urlsplit(text)
    if parts.username is not None or "@" in parts.netloc:
        raise UsageError(
            "An s3:// address holds no credentials: lists of runs and commands would show them.",
            "they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from ~/.aws/credentials.",
        )
    names = [name for name in parts.path.split("/") if name]
    if not parts.netloc or parts.query or parts.fragment or any(name in (".", "..") for name in names):
        raise UsageError(f"{text} is no place in a bucket.", "write it s3://BUCKET/PREFIX.")
    return BucketAddress(parts.netloc, "/".join(names))


class S3Destination:
    """A bucket. Every object that is written is read back before it counts."""

    def __init__(self, address: BucketAddress, environ: Mapping[str, str]) -> None:
        self._address = address
        self._settings = settings_of(environ)
        self.underway = False
        """Whether a run has begun to write. From then on an unreachable server is a temporary error."""
        self._requests = Requests()
        self._folder: StagingFolder | None = None
        self._guard = threading.Lock()
        self._store, self._errors = _store(address, self._settings.options)

    @property
    def shown(self) -> str:
        return str(self._address)

    @property
    def place(self) -> str:
        return f"{self._settings.endpoint or 'aws'} {self._address}"

    def create(self, name: str, data: bytes) -> bool:
        if not self._put(name, data):
            return data == self._stored(name)  # the same data: the answer to our own try was lost
        self._refuse_another(name, data == self._stored(name))
        return True

    def publish(self, path: Path, name: str) -> None:
        """Upload the file, read it back and compare it; then remove the local file."""
        with path.open("rb") as file:
            mine = sha256_of(file)
        created = self._put(name, path)
        try:
            with self.open(name) as file:
                same = sha256_of(file) == mine
        except NotFoundError:
            same = False
        if created:
            self._refuse_another(name, same)
        elif not same:
            raise IntegrityError(
                f"{name} is there already in {self.shown} with another content.", "look at who else writes there."
            )
        path.unlink()

    def read(self, name: str) -> bytes:
        with self._translated(name):
            return self._requests.answer(lambda: bytes(self._store.get(name).bytes()))

    def open(self, name: str) -> BinaryIO:
        """Copy the object to a temporary file and open that: formats need to seek."""
        with self._translated(name):
            return self._requests.answer(lambda: self._copied(name))

    def names(self, under: str = "") -> Sequence[str]:
        folder = under.rpartition("/")[0]
        with self._translated():
            found = self._requests.answer(
                lambda: [str(one["path"]) for page in self._store.list(folder or None) for one in page]
            )
        return sorted(name for name in found if name.startswith(under))

    def staging(self) -> Path:
        """Return a folder on the disk for temporary files: TMPDIR."""
        with self._guard:  # a second folder, made by another worker meanwhile, would remove the first one
            if self._folder is None:
                self._folder = StagingFolder()
            return self._folder.path

    def check_removal(self) -> None:
        """Remove an object that is not there: a store refuses that as it refuses the others."""
        self.remove("no-such-object")

    def remove(self, name: str) -> None:
        with suppress(NotFoundError), self._translated(name):
            self._requests.answer(lambda: self._store.delete(name))

    def wait_until(self, given_up: Callable[[], bool]) -> None:
        self._requests.given_up = given_up

    def _put(self, name: str, content: bytes | Path) -> bool:
        """Create an object; return False if there is one of that name, perhaps from a try whose answer was lost."""

        def create() -> None:
            with memoryview(content) if isinstance(content, bytes) else _mapped(content) as view:
                self._store.put(name, view, mode="create", use_multipart=False)

        with self._translated(name):
            try:
                self._requests.answer(create)
            except self._errors.AlreadyExistsError:
                return False
        return True

    def _copied(self, name: str) -> BinaryIO:
        """Return a temporary file with what is in the object."""
        file = tempfile.TemporaryFile(prefix="batchops-")  # noqa: SIM115  the caller closes it
        try:
            for part in self._store.get(name).stream(min_chunk_size=PART):
                file.write(part)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return cast("BinaryIO", file)

    def _stored(self, name: str) -> bytes | None:
        with suppress(NotFoundError):
            return self.read(name)
        return None

    def _refuse_another(self, name: str, same: bool) -> None:
        if not same:
            raise IntegrityError(
                f"{self.shown} took {name} without an error, but gives back something else.",
                "nothing of it was deleted from the table; look at the store, or at a proxy before it.",
            )

    @contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if _code(error) != "NoSuchBucket":
                raise NotFoundError(f"There is no {name} in {self.shown}.") from None
            raise self._error(error) from None
        except self._errors.BaseError as error:
            raise self._error(error) from None  # the cause's text may hold secrets

    def _error(self, error: Exception) -> BatchopsError:
        """Return the error for people. The store's own text names addresses, headers and perhaps keys."""
        code, text = _code(error), str(error)
        status = found[1] if (found := _STATUS.search(text)) else _STATUS_OF.get(code, "")
        at = f" at {self._settings.endpoint}" if self._settings.endpoint else ""
        if code == "NoSuchBucket":
            return UnreachableError(
                f"There is no bucket {self._address.bucket}{at}.", "create it, or check its name and AWS_ENDPOINT_URL."
            )
        told = found[1] if (found := _MESSAGE.search(text)) else ""
        why = self._settings.redacted(f"{code or status}: {told}".strip(": "))
        if code in _CREDENTIALS or status == "401":
            return UnreachableError(f"{self.shown}: the store refuses the credentials ({why}).", _CHECK)
        if status == "403":
            return DeniedError(
                f"{self.shown}: the store refuses access ({why}).",
                f"it needs s3:ListBucket, s3:GetObject and s3:PutObject, a prune s3:DeleteObject too; {_CHECK}",
            )
        if status and status[0] in "34" and status not in ("408", "409", "429"):
            return UnreachableError(
                f"{self.shown}: the store refuses the request ({why}).", "check AWS_REGION and AWS_ENDPOINT_URL."
            )
        if status:
            return TransientError(f"{self.shown}: the store answers {why}.", "try again later.")
        kind = TransientError if self.underway else UnreachableError
        if _TIMED_OUT in text:
            return kind(
                f"{self.shown}{at} does not answer in time (a transfer has {ANSWER_SECONDS} s).",
                "look at the store and the network; a smaller --segment-size needs less time.",
            )
        reason = self._settings.redacted(_reason(text))
        return kind(f"{self.shown}{at} cannot be reached: {reason}.", f"check AWS_ENDPOINT_URL, or {_CHECK}")


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """Yield a file's bytes as the store takes them without a copy: by the path it would read all into memory."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as map, memoryview(map) as view:
        yield view


def _store(address: BucketAddress, options: Mapping[str, str]) -> tuple[Any, Any]:
    try:
        from obstore import exceptions
        from obstore.store import S3Store
    except ModuleNotFoundError as error:
        raise UsageError(f"{address} needs obstore, which is not installed.", "pip install 'batchops[s3]'") from error
    config: Any = dict(options)
    try:
        store = S3Store(
            address.bucket, prefix=address.prefix or None, config=config,
            client_options={
                "allow_http": True, "connect_timeout": f"{CONNECT_SECONDS}s", "timeout": f"{ANSWER_SECONDS}s",
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        )  # fmt: skip
    except exceptions.BaseError:
        raise UsageError(f"{address} cannot be used with these settings.", "check the AWS_… variables.") from None
    return store, exceptions


def _code(error: Exception) -> str:
    found = _CODE.search(str(error))
    return (found[1] or found[2] or "") if found else ""


def _reason(text: str) -> str:
    """Return why the request did not reach the server, from the first line of the error."""
    found = _REASON.search(text.partition("\n")[0].rpartition(" - ")[2])
    return (found[1] if found else "no answer").rstrip(".")
