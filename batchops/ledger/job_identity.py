"""What makes a job the same job: where its data is, what is done, to which table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from batchops.db.table import TableIdentity


@dataclass(frozen=True)
class JobIdentity:
    """A job as it was asked for. The key adds whose data it is; `evidence` is no part of it."""

    verb: str
    schema: str | None
    table: str
    spec: Mapping[str, Any]
    """Condition, assignments and values as they were written."""
    evidence: TableIdentity

    def key(self, database_id: str) -> str:
        """The job in this database."""
        return _hash([database_id, self.verb, self.schema, self.table, self.spec])

    @property
    def work(self) -> str:
        """The same work on whichever table."""
        return _hash([self.verb, self.spec])


def _hash(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
