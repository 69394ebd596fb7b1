"""What a person writes about edges: --child "audit.entity_id -> users.id", --edge "orders.customer_id = null"."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from batchops.bulk.children.graph import ACTIONS, EdgeAction, columns_text
from batchops.db.literals import Value

_NAME = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|[^\s."`(),=>-][^\s."`(),=>]*)'
_END = rf"(?:(?:{_NAME}\.)?{_NAME})\.(?:{_NAME}|\(\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\))"
_CHILD = re.compile(
    rf"\s*(?P<child>{_END})\s*->\s*(?P<parent>{_END})(?:\s+where\s+(?P<condition>\S.*?))?\s*", re.IGNORECASE | re.DOTALL
)
_EDGE = re.compile(rf"\s*(?P<child>{_END})(?:\s*->\s*(?P<parent>{_END}))?\s*=\s*(?P<action>\w+)\s*", re.DOTALL)
_PARTS = re.compile(_NAME)


@dataclass(frozen=True)
class End:
    """A table as the person wrote it, and some of its columns without their quotes."""

    table: str
    columns: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.table}.{columns_text(self.columns)}"


@dataclass(frozen=True)
class DeclaredEdge:
    """An edge that the catalogue does not have."""

    child: End
    parent: End
    condition: str | None = None

    @property
    def text(self) -> str:
        where = "" if self.condition is None else f" where {self.condition}"
        return f"{self.child.text} -> {self.parent.text}{where}"


@dataclass(frozen=True)
class EdgeChoice:
    """What happens along an edge; `parent` is given if one column refers to several tables."""

    child: End
    parent: End | None
    action: EdgeAction

    @property
    def text(self) -> str:
        parent = "" if self.parent is None else f" -> {self.parent.text}"
        return f"{self.child.text}{parent} = {self.action}"


@dataclass(frozen=True)
class AskedEdges:
    """Everything that a person says about a graph."""

    declared: tuple[DeclaredEdge, ...] = ()
    stop_at: tuple[str, ...] = ()
    chosen: tuple[EdgeChoice, ...] = ()
    params: Mapping[str, Value] = field(default_factory=dict)
    """Values for `:name` in the conditions of declared edges."""


ASKED_NOTHING = AskedEdges()


def declared_edge(text: str) -> DeclaredEdge:
    """Parse the value of --child; a ValueError says what is expected."""
    found = _CHILD.fullmatch(text)
    if found is None:
        raise ValueError(
            f'"{text}" is not an edge: write "audit.entity_id -> users.id", several columns as '
            '"lines.(order_id, shop) -> orders.(id, shop)", a condition at its end as "where owner_type = \'Post\'"'
        )
    child, parent = _end(found["child"]), _end(found["parent"])
    if len(child.columns) != len(parent.columns):
        raise ValueError(
            f'"{text}": {len(child.columns)} columns refer to {len(parent.columns)}; name as many on both sides'
        )
    return DeclaredEdge(child, parent, found["condition"])


def edge_choice(text: str) -> EdgeChoice:
    """Parse the value of --edge; a ValueError says what is expected."""
    found = _EDGE.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is no choice: write "orders.customer_id = delete", = null or = refuse')
    action = next((one for one in ACTIONS if one == found["action"].lower()), None)
    if action is None:
        raise ValueError(f'"{text}": there is no action "{found["action"]}"; there are {", ".join(ACTIONS)}')
    return EdgeChoice(_end(found["child"]), _end(found["parent"]) if found["parent"] else None, action)


def _end(text: str) -> End:
    if text.endswith(")"):
        table, _, listed = text.rpartition(".(")
        return End(table, tuple(_plain(name) for name in _PARTS.findall(listed)))
    names = _PARTS.findall(text)
    return End(text[: -len(names[-1]) - 1], (_plain(names[-1]),))


def _plain(name: str) -> str:
    quote = name[0]
    return name[1:-1].replace(2 * quote, quote) if quote in '"`' else name
