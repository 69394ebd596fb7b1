"""Names that need quoting, and tables in another schema."""

from tests.databases.shapes.literals import IDS
from tests.databases.shapes.shape import LITE, MARIA, PG, ROWS, Shape

NAMES = (
    Shape(
        "reserved words",
        {"select": "integer", "from": "integer"},
        ("select",),
        [(str(i), str(i % 4)) for i in range(ROWS)],
        table="order",
        where='"from" IN (1, 2)',
        assignments=('"from" = "from" + 10',),
    ),
    Shape(
        "percent and colon",
        {"100% a:b": "integer", "%s": "integer"},
        ("100% a:b",),
        [(str(i), str(i % 4)) for i in range(ROWS)],
        table="50%:x %(y)s",
        where='"%s" < 2',
        assignments=('"%s" = "%s" + 7',),
    ),
    Shape(
        "quotes and blanks",
        {'we;ird"na`me': "integer", "it's": "integer"},
        ('we;ird"na`me',),
        [(str(i), str(i % 4)) for i in range(ROWS)],
        table='ta"b`le .x',
        where={PG: '"it\'s" < 2', MARIA: "`it's` < 2", LITE: '"it\'s" < 2'},
    ),
    Shape(
        "Ünïcode",
        {"Schlüssel": "integer", "größe": "integer"},
        ("Schlüssel",),
        [(str(i), str(i % 4)) for i in range(ROWS)],
        table="Bücher",
        where='"größe" < 2',
        assignments=('"größe" = "größe" * 2',),
    ),
    Shape("capitals", {"Id": "integer"}, ("Id",), IDS, table="Events"),
    Shape("another schema", {"id": "integer"}, ("id",), IDS, table="t", schema="o.ther s"),
)
