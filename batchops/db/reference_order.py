"""The order of tables by their foreign keys, and the circles of tables that have no order."""

from collections.abc import Iterable, Iterator, Sequence

from batchops.db.facts import TableName


def circles(names: Sequence[TableName], edges: Iterable[tuple[TableName, TableName]]) -> Iterator[list[TableName]]:
    """Yield the strongly connected sets of tables, children before their parents, by Tarjan's algorithm.

    `edges` are pairs of parent and child. The search follows them from parent to child, so that a set is complete
    once everything below it is.
    """
    children: dict[TableName, list[TableName]] = {name: [] for name in names}
    for parent, child in edges:
        if parent in children and child in children:
            children[parent].append(child)
    seen: dict[TableName, int] = {}
    low: dict[TableName, int] = {}
    path: list[TableName] = []
    for first in names:
        if first in seen:
            continue
        # A stack of its own, as a chain of tables may be deeper than Python's recursion limit.
        waiting = [(first, iter(children[first]))]
        seen[first] = low[first] = len(seen)
        path.append(first)
        while waiting:
            name, rest = waiting[-1]
            below = next(rest, None)
            if below is None:
                waiting.pop()
                if waiting:
                    low[waiting[-1][0]] = min(low[waiting[-1][0]], low[name])
                if low[name] == seen[name]:
                    yield _pop_set(path, name)
            elif below not in seen:
                seen[below] = low[below] = len(seen)
                path.append(below)
                waiting.append((below, iter(children[below])))
            elif below in path:
                low[name] = min(low[name], seen[below])


def _pop_set(path: list[TableName], name: TableName) -> list[TableName]:
    place = path.index(name)
    found = path[place:]
    del path[place:]
    return found
