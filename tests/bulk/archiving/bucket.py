"""A bucket of a test, what is in it, and a proxy before its store."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from batchops.archive.destination import open_destination
from batchops.archive.formats import format_of_name
from batchops.archive.layout import deleted_name, record_name
from batchops.archive.records import ArchivedTable, Sidecar, loaded
from batchops.archive.segments import read_segment
from batchops.db.exact_text import fields_of
from batchops.errors import NotFoundError
from tests.services.http_proxy import HttpProxy

SECRET = "a-secret-that-nobody-sees"


@dataclass(frozen=True)
class Bucket:
    """A bucket, by way of its proxy."""

    name: str
    proxy: HttpProxy

    @property
    def url(self) -> str:
        return f"s3://{self.name}/of one/test"

    @property
    def env(self) -> dict[str, str]:
        """What a command needs."""
        return {
            "AWS_ENDPOINT_URL": self.proxy.url, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": SECRET,
        }  # fmt: skip

    @contextmanager
    def reached(self) -> Iterator[None]:
        """The same for this process."""
        with patch.dict(os.environ, self.env):
            yield

    def names(self) -> list[str]:
        with self.reached():
            return [*open_destination(self.url).names()]

    def rows(self, column: str = "id", *, undecided: bool = False) -> Counter[str]:
        """One column of the archived rows, and how often each is there; those of undecided segments as well."""
        found: Counter[str] = Counter()
        for table, lines in self._segments(undecided=undecided):
            place = [one.name for one in table.columns].index(column)
            found.update((fields_of(line)[place] or b"NULL").decode() for line in lines)
        return found

    def lines(self, *, undecided: bool = False) -> Counter[bytes]:
        """The canonical lines of the archived rows, and how often each is there."""
        return Counter(line for _, lines in self._segments(undecided=undecided) for line in lines)

    def texts(self, *, nulled: bool = False, undecided: bool = False) -> dict[str, list[dict[str, str | None]]]:
        """All archived rows by table, each value as its text; or instead values of rows that stayed."""
        found: dict[str, list[dict[str, str | None]]] = {}
        for table, lines in self._segments(undecided=undecided):
            columns = [one.name for one in table.columns]
            for line in lines if bool(table.nulled) == nulled else ():
                values = (None if value is None else value.decode() for value in fields_of(line))
                found.setdefault(table.label, []).append(dict(zip(columns, values, strict=True)))
        return found

    def _segments(self, *, undecided: bool) -> Iterator[tuple[ArchivedTable, list[bytes]]]:
        """Each segment's table, and the lines of its rows that are archived."""
        with self.reached():
            destination = open_destination(self.url)
            for name in destination.names():
                format = format_of_name(name)
                if format is None:
                    continue
                try:
                    sidecar = Sidecar.loaded(destination.read(record_name(name)))
                except NotFoundError:
                    continue
                try:
                    left = loaded(destination.read(deleted_name(name)))["left"]
                except NotFoundError:
                    left = [] if undecided else [[0, sidecar.record.rows]]
                with destination.open(name) as file:
                    blocks = read_segment(file, sidecar.table.columns, format)
                    lines = [line for block in blocks for line in block]
                stayed = {at for first, behind in left for at in range(first, min(behind, len(lines)))}
                yield sidecar.table, [line for at, line in enumerate(lines) if at not in stayed]
