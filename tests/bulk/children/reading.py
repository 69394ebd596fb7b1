"""Reads the graph of a table in a test's database."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.bulk.children.discover import graph_of
from batchops.bulk.children.edge_text import AskedEdges, declared_edge, edge_choice
from batchops.bulk.children.graph import Edge, Graph
from batchops.db.database import connect
from batchops.db.lookup import find_table
from batchops.db.urls import address
from tests.services.database import Database


def read_graph(
    database: Database, root: str, child: Sequence[str] = (), edge: Sequence[str] = (), stop_at: Sequence[str] = (),
    statements: list[str] | None = None,
) -> Graph:  # fmt: skip
    """The graph by the words of a command line; `statements` takes what was sent to the server for it."""
    mine = connect(address(database.url, {}))
    try:
        with mine.reading() as connection:
            table = find_table(connection, mine.backend, root)
            if statements is not None:
                sa.event.listen(mine.engine, "before_cursor_execute", lambda *sent: statements.append(sent[2]))
            asked = AskedEdges(tuple(map(declared_edge, child)), tuple(stop_at), tuple(map(edge_choice, edge)))
            return graph_of(connection, mine, table, asked)
    finally:
        mine.close()


def edges(graph: Graph) -> dict[str, str]:
    """What happens along each edge; a question mark where a person has to choose."""
    return {edge.label: edge.action if edge.chosen else f"{edge.action}?" for edge in graph.edges}


def the_edge(graph: Graph, source: str) -> Edge:
    """The one edge of these columns."""
    (found,) = (edge for edge in graph.edges if edge.source == source)
    return found


def order(graph: Graph) -> list[str]:
    """The tables whose rows go, deepest first."""
    return [table.label for table in graph.tables]
