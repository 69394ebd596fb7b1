"""Where an archive's rows go, and how they are read back there, also between two kills."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import duckdb

from batchops.archive.formats import format_of_name
from batchops.archive.spool import frames
from batchops.db.exact_text import lines_in
from tests.bulk.archiving import archived
from tests.bulk.archiving.bucket import Bucket
from tests.command import Batchops
from tests.kills.rows import TYPES, Compared, lines
from tests.services.database import Database

SEGMENT = ("--segment-size", "64KiB")
"""The smallest: kills fall into the making of many files, and each process of a bucket gets to delete rows."""
_READ = {
    "parquet": "read_parquet($1)", "jsonl": "read_json($1, format='newline_delimited')",
    "csv": "read_csv($1, header=true)",
}  # fmt: skip


class Place(Protocol):
    """A destination."""

    words: tuple[str, ...]
    env: Mapping[str, str]

    def lines(self, database: Database) -> Counter[bytes]:
        """The rows that are there once the run is done."""

    def seen(self, database: Database) -> Counter[bytes]:
        """The rows that are there after a kill, those of batches in doubt as well."""

    def told(self, found: Compared, batchops: Batchops, database: Database, most: int) -> bool:
        """Whether the rows in both are as announced; `most`: the rows of one batch of each worker."""

    def proven(self, batchops: Batchops, database: Database) -> None:
        """Fail unless tools that read the destination alone find the same."""


@dataclass(frozen=True)
class Folder:
    """Files on this machine."""

    path: Path
    format: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        return ("--to", f"{self.path}/", "--format", self.format, *SEGMENT)

    def lines(self, database: Database) -> Counter[bytes]:  # noqa: ARG002
        return Counter(archived.lines_in(self.path))

    def seen(self, database: Database) -> Counter[bytes]:
        """Rows of spools up to the length that the ledger tells, and of files that are listed there."""
        listed = [json.loads(one)["name"] for one in database.column(_LISTED)] if self.path.is_dir() else []
        found = Counter(one for name in listed for one in archived.lines_of(self.path, name))
        for name, length in database.rows(_UNSEALED) if self.path.is_dir() else []:
            for frame in frames(self.path / "spools" / f"{name}.spool", length):
                found.update(lines_in(frame.block))
        return found

    def told(self, found: Compared, batchops: Batchops, database: Database, most: int) -> bool:  # noqa: ARG002
        return found.double == 0

    def proven(self, batchops: Batchops, database: Database) -> None:
        """Another reader than ours finds the same sums; `verify` finds the digests."""
        assert batchops("archive", "verify", self.path, "--against", database.url).code == 0
        files = [str(path) for path in (self.path / "t").rglob("*") if format_of_name(path.name)]
        sums = "count(*), count(DISTINCT id), sum(id), sum(kind)"
        (read,) = duckdb.sql(f"SELECT {sums} FROM {_READ[self.format]}", params=[files]).fetchall()
        ids = [int(one.split(b"\t")[0]) for one in self.lines(database)]
        assert read == (len(ids), len(ids), sum(ids), sum(row % 7 for row in ids))


_LISTED = "SELECT record FROM batchops_segment WHERE record IS NOT NULL"
_UNSEALED = (
    "SELECT spool, valid_length FROM batchops_spool LEFT JOIN batchops_segment ON batchops_segment.run = "
    "batchops_spool.run AND batchops_segment.segment = batchops_spool.segment WHERE record IS NULL"
)


@dataclass(frozen=True)
class Store:
    """A bucket."""

    bucket: Bucket
    format: str

    @property
    def words(self) -> tuple[str, ...]:
        return ("--to", self.bucket.url, "--format", self.format, *SEGMENT)

    @property
    def env(self) -> Mapping[str, str]:
        return self.bucket.env

    def lines(self, database: Database) -> Counter[bytes]:  # noqa: ARG002
        return self.bucket.lines()

    def seen(self, database: Database) -> Counter[bytes]:  # noqa: ARG002
        return self.bucket.lines(undecided=True)

    def told(self, found: Compared, batchops: Batchops, database: Database, most: int) -> bool:  # noqa: ARG002
        """`verify` names as many."""
        words = ("archive", "verify", self.bucket.url, "--against", database.url, "--json")
        verified = batchops(*words, env=self.bucket.env)
        named = sum(one["same"] for one in verified.json().get("against", []))
        return (named, verified.code) == (found.double, 3 if found.double else 0)

    def proven(self, batchops: Batchops, database: Database) -> None:
        assert batchops("archive", "verify", self.bucket.url, "--against", database.url, env=self.env).code == 0


@dataclass(frozen=True)
class OtherTable:
    """The table `old` of this database, or of another one."""

    there: Database | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return ("--to", "old" if self.there is None else "env:OTHER_URL#old")

    @property
    def env(self) -> Mapping[str, str]:
        return {} if self.there is None else {"OTHER_URL": self.there.url}

    def made(self, database: Database) -> "OtherTable":
        (self.there or database).script(f"CREATE TABLE old ({TYPES})")
        return self

    def lines(self, database: Database) -> Counter[bytes]:
        return Counter(lines(self.there or database, "old"))

    seen = lines

    def told(self, found: Compared, batchops: Batchops, database: Database, most: int) -> bool:  # noqa: ARG002
        """Between two databases, each worker's last batch can be in both; within one, no row."""
        return found.double <= (0 if self.there is None else most)

    def proven(self, batchops: Batchops, database: Database) -> None:
        """Its rows are compared already."""
