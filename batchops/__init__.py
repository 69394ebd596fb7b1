"""Batched deletes and updates on databases that people are using meanwhile.

`purge`, `backfill` and `drain` do what the commands of the same names do, with the same options, and return Finished.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "backfill", "drain", "purge"]


def __getattr__(name: str) -> object:
    """Import the library's face when it is first used: `batchops --help` needs neither SQLAlchemy nor pydantic."""
    if name in ("purge", "backfill", "drain"):
        from batchops import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
