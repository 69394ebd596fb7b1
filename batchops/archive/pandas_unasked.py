"""pyarrow without pandas: where that is installed, pyarrow imports it for its first value, to know pandas' types.

No value of ours is of one. It takes 30 MB, and as long as pyarrow itself. Who asks pyarrow for pandas later gets it.
"""

import sys
from typing import Any

import pyarrow as pa


class _Missing:
    """A finder by which no module of that name is installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002  the shape of a finder
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)


def leave_pandas_out() -> None:
    """Have pyarrow look for pandas now, and find none; where it is imported already, that costs nothing."""
    if "pandas" in sys.modules:
        return
    missing: Any = _Missing()
    sys.meta_path.insert(0, missing)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(missing)
