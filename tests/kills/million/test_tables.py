"""The same kills of archives of a million rows, 200 of each: see conftest.py."""

import pytest

from tests.kills.test_tables import test_kills, test_kills_between_two_databases

__all__ = ["test_kills", "test_kills_between_two_databases"]
pytestmark = [pytest.mark.full, pytest.mark.timeout(7200)]
