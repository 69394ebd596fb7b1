"""The size of the largest archives that are killed."""

import pytest

from tests.kills.killing import MILLION, Size


@pytest.fixture
def size() -> Size:
    """How many rows there are, and how many kills."""
    return MILLION
