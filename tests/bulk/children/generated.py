"""A graph of tables drawn at random: several paths to one table, composite keys, self references and circles."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bulk.children.oracle import Refers, Rows
from tests.services.database import Database

ACTIONS = ("NO ACTION", "CASCADE", "SET NULL")


@dataclass
class Drawn:
    """The tables t0, t1 …; t0 is the root, of which the rows with `gone = 1` go."""

    tables: dict[str, list[str]] = field(default_factory=dict)
    """Columns by table."""
    edges: list[Refers] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    """ON DELETE of each."""
    rows: Rows = field(default_factory=dict)
    composite: set[str] = field(default_factory=set)

    def make(self, database: Database, *, constraints: bool = True) -> None:
        """Tables, foreign keys and rows; without constraints nothing but the order keeps orphans away."""
        for table in self.tables:
            database.script(self._ddl(database, table, constraints=constraints))
        for number, edge in enumerate(self.edges):
            database.script(f"CREATE INDEX i{number} ON {edge.child} ({', '.join(edge.columns)})")
        # In an order in which each finds its parent: circles are closed afterwards.
        for table, columns in self.tables.items():
            first = [
                {name: None if name in self._later(table) else value for name, value in row.items()}
                for row in self.rows[table]
            ]
            if first:
                database.insert(table, columns, [[row[name] for name in columns] for row in first])
        for table in self.tables:
            for name in sorted(self._later(table)):
                for row in self.rows[table]:
                    if row[name] is not None:
                        database.execute(f"UPDATE {table} SET {name} = {row[name]} WHERE id = {row['id']}")
        if constraints and database.backend != "sqlite":
            for edge, rule in zip(self.edges, self.rules, strict=True):
                database.script(f"ALTER TABLE {edge.child} ADD {_key(edge, rule)}")

    def _later(self, table: str) -> set[str]:
        return {
            name
            for edge in self.edges
            for name in edge.columns
            if edge.child == table and int(edge.parent[1:]) >= int(table[1:])
        }

    def _ddl(self, database: Database, table: str, *, constraints: bool) -> str:
        filled = ("id", "part", "gone")
        columns = [f"{name} integer{' NOT NULL' if name in filled else ''}" for name in self.tables[table]]
        key = "id, part" if table in self.composite else "id"
        keys = [
            _key(edge, rule)
            for edge, rule in zip(self.edges, self.rules, strict=True)
            if constraints and database.backend == "sqlite" and edge.child == table
        ]
        return f"CREATE TABLE {table} ({', '.join([*columns, f'PRIMARY KEY ({key})', *keys])})"


def _key(edge: Refers, rule: str) -> str:
    columns, referred = ", ".join(edge.columns), ", ".join(edge.referred)
    return f"FOREIGN KEY ({columns}) REFERENCES {edge.parent} ({referred}) ON DELETE {rule}"


def draw(seed: int, tables: int, rows: int) -> Drawn:
    """The same for the same numbers."""
    chance, drawn = random.Random(seed), Drawn()
    names = [f"t{i}" for i in range(tables)]
    drawn.composite = {name for name in names if chance.random() < 0.25}
    for place, name in enumerate(names):
        parents = chance.sample(names[:place], min(place, chance.choice((1, 1, 2, 3))))
        if chance.random() < 0.2 and name not in drawn.composite:
            parents.append(name)
        if place + 1 < tables and chance.random() < 0.15:
            parents.append(chance.choice(names[place + 1 :]))
        columns = ["id", *(["part"] if name in drawn.composite else []), "gone"]
        for parent in dict.fromkeys(parents):
            _draw_edge(chance, drawn, name, parent, columns)
        drawn.tables[name] = columns
    for name in names:
        drawn.rows[name] = [
            {"id": i, "gone": 0} | ({"part": i % 3} if name in drawn.composite else {}) for i in range(rows)
        ]
        for row in drawn.rows[name]:
            row["gone"] = int(chance.random() < 0.3)
    for edge in drawn.edges:
        _draw_values(chance, drawn, edge)
    return drawn


def _draw_edge(chance: random.Random, drawn: Drawn, child: str, parent: str, columns: list[str]) -> None:
    back = int(parent[1:]) >= int(child[1:])
    referred = ("id", "part") if parent in drawn.composite else ("id",)
    if back and len(referred) > 1:
        return
    own = tuple(f"{parent}_{name}" for name in referred)
    rule = chance.choice(ACTIONS)
    columns += own
    drawn.edges.append(Refers(child, own, parent, referred, "null" if rule == "SET NULL" else "delete"))
    drawn.rules.append(rule)


def _draw_values(chance: random.Random, drawn: Drawn, edge: Refers) -> None:
    parents = drawn.rows[edge.parent]
    for place, row in enumerate(drawn.rows[edge.child]):
        # A row refers to none after it in its own table, or InnoDB could delete no set of such rows.
        usable: Sequence[dict[str, Any]] = parents[:place] if edge.child == edge.parent else parents
        if not usable or chance.random() < 0.3:
            row.update(dict.fromkeys(edge.columns))
            continue
        chosen = chance.choice(usable)
        row.update({own: chosen[name] for own, name in zip(edge.columns, edge.referred, strict=True)})
