"""The version of batchops."""

__version__ = "0.1.0"
