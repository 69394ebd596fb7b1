"""The servers of one pytest session, shared with its xdist workers."""

import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from tests.services import kafka, nats, pgbouncer, rabbitmq, redis, s3
from tests.services.database import FAMILIES, Database, Dataset, Family
from tests.services.server import Found, Missing, Server

REQUIRE = "BATCHOPS_TEST_REQUIRE"
DATABASES: dict[str, Callable[[], Found]] = {name: family.find for name, family in FAMILIES.items()}
BROKERS: dict[str, Callable[[], Found]] = {broker.NAME: broker.find for broker in (rabbitmq, nats, redis, kafka)}
STORES: dict[str, Callable[[], Found]] = {s3.NAME: s3.find}
SERVICES = DATABASES | BROKERS | STORES
"""By name."""


class Services:
    """Finds servers on first use, makes databases on them, and clears up what it made."""

    def __init__(self, id: str, folder: Path, found: dict[str, Found], worker: str) -> None:
        self.id = id
        self.folder = folder
        self._found = found
        self._worker = worker
        self._own: list[str] = []
        self._parked: dict[str, list[str]] = {}
        """Databases by their server's name, each as new."""
        self._numbers = itertools.count(1)

    @classmethod
    def begin(cls) -> Self:
        return cls(uuid.uuid4().hex[:8], Path(tempfile.mkdtemp(prefix="batchops-")), {}, "")

    @classmethod
    def of_worker(cls, shared: dict[str, Any], worker: str) -> Self:
        """The controller's session, seen from a worker, which stops nothing of it."""
        found = {name: _unpack(entry) for name, entry in shared["found"].items()}
        return cls(shared["id"], Path(shared["folder"]), found, f"{worker}_")

    def shared(self) -> dict[str, Any]:
        """What a worker needs, in plain values."""
        found = {name: _pack(server) for name, server in self._found.items()}
        return {"id": self.id, "folder": str(self.folder), "found": found}

    def find(self, name: str) -> Found:
        if name not in self._found:
            with warnings.catch_warnings(action="ignore"):  # testcontainers warns about itself
                self._found[name] = SERVICES[name]()
            self._own.append(name)
        return self._found[name]

    def find_all(self, names: Iterable[str]) -> None:
        """All at once: each takes seconds to start."""
        with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(len(SERVICES)) as threads:
            futures = {name: threads.submit(SERVICES[name]) for name in names}
            for name, future in futures.items():
                self._found[name] = future.result()
                self._own.append(name)

    def found(self) -> list[Found]:
        """What was looked for so far."""
        return list(self._found.values())

    @contextlib.contextmanager
    def database(self, name: str, dataset: Dataset | None = None, at: Server | None = None) -> Iterator[Database]:
        """A new database for one test, empty or a copy of the dataset."""
        kind, server = FAMILIES[name], at or self.find(name)
        assert isinstance(server, Server)
        template = None if dataset is None else self._template(name, dataset, server)
        own = Database(kind, server, self._name(f"{self._worker}{next(self._numbers)}"))
        shared = dataset is None and at is None
        if shared and kind.rename is not None and self._parked.get(name):
            kind.rename(server, self._parked[name].pop(), own.name)
        else:
            kind.create(server, own.name, template)
        try:
            yield own
        finally:
            own.close()
            self._let_go(own, kind, server, shared)

    def _let_go(self, own: Database, kind: Family, server: Server, shared: bool) -> None:
        """Keep it for the next test, as new and under another name, or drop it."""
        parked = self._name(f"parked_{self._worker}{next(self._numbers)}")
        if shared and kind.park is not None and kind.park(server, own.name, parked):
            self._parked.setdefault(kind.NAME, []).append(parked)
            return
        for name in (own.name, parked) if shared else (own.name,):
            kind.drop(server, name)

    def _template(self, name: str, dataset: Dataset, server: Server) -> str:
        """Loaded by whoever comes first; the other workers wait for it."""
        kind = FAMILIES[name]
        template = Database(kind, server, self._name(f"template_{dataset.name}"))
        with (self.folder / f"{name}-{dataset.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if template.name in kind.names(server, template.name):
                return template.name
            kind.create(server, template.name)
            try:
                dataset.load(template)
            except BaseException:
                template.close()
                kind.drop(server, template.name)
                raise
            template.close()
        return template.name

    def _name(self, end: str) -> str:
        return f"batchops_{self.id}_{end}"

    def close(self) -> None:
        """Drop our databases, which matters on servers that were given, and stop our servers."""
        for name in self._own:
            server = self._found[name]
            if isinstance(server, Server):
                try:
                    self._sweep(name, server)
                finally:
                    server.stop()
        if not self._worker:
            shutil.rmtree(self.folder)

    def _sweep(self, name: str, server: Server) -> None:
        if kind := FAMILIES.get(name):
            for database in kind.names(server, self._name("")):
                kind.drop(server, database)


def required() -> frozenset[str]:
    """The services that the environment says must not be missing."""
    wanted = frozenset(os.environ.get(REQUIRE, "").replace(",", " ").split())
    known = (*SERVICES, pgbouncer.NAME)
    if unknown := wanted - {*known, "all"}:
        raise ValueError(f"{REQUIRE}: {', '.join(sorted(unknown))}? There are {', '.join(known)} and all.")
    return frozenset(known) if "all" in wanted else wanted


def _pack(found: Found) -> dict[str, str]:
    """A frozen dataclass without its callable."""
    if isinstance(found, Missing):
        return {"name": found.name, "reason": found.reason}
    return {"name": found.name, "version": found.version, "url": found.url, "origin": found.origin}


def _unpack(entry: dict[str, str]) -> Found:
    if "reason" in entry:
        return Missing(entry["name"], entry["reason"])
    return Server(entry["name"], entry["version"], entry["url"], entry["origin"])
