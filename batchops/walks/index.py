"""The walk along an index that the predicate is selective on: only the rows that match are met."""

from typing import Any

import sqlalchemy as sa

from batchops.walks.cursor import Range
from batchops.walks.keys import KeysWalk


class IndexWalk(KeysWalk):
    """Follows (indexed column, key), as KeysWalk does, but a window is so many matching rows."""

    name = "index"

    def _followed(self, way: Range) -> sa.Select[Any]:
        return super()._followed(way).where(self._selection.clause)
