"""In what order jobs run that need each other."""

from collections.abc import Mapping, Sequence


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The names as they stand, but each after those that it needs; of a circle, none that is in it."""
    done: list[str] = []
    waiting = list(needs)
    while ready := next((n for n in waiting if all(need in done for need in needs[n])), None):
        done.append(ready)
        waiting.remove(ready)
    return done


def circle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Names that need each other in a circle, the first one again at the end; empty where there is none."""
    stuck = {name for name in needs if name not in in_order(needs)}
    if not stuck:
        return []
    way = [next(name for name in needs if name in stuck)]
    while way[-1] not in way[:-1]:
        way.append(next(need for need in needs[way[-1]] if need in stuck))
    return way[way.index(way[-1]) :]


def with_needs(names: Sequence[str], needs: Mapping[str, Sequence[str]]) -> set[str]:
    """These, and all that they need."""
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += needs[name]
    return wanted
