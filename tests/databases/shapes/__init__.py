"""Shapes of tables: one row per kind of key, name, predicate or storage that has broken such a tool somewhere."""

from tests.databases.shapes.composite import COMPOSITE
from tests.databases.shapes.conditions import PREDICATES
from tests.databases.shapes.keys import KEYS
from tests.databases.shapes.names import NAMES
from tests.databases.shapes.storage import STORAGE

SHAPES = (*KEYS, *COMPOSITE, *NAMES, *PREDICATES, *STORAGE)
