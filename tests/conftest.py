"""Servers for the session, a database of its own for each test, and the command line."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

from tests import flights as nycflights
from tests.command import Batchops, environment
from tests.forking import Forks
from tests.services import mariadb as mariadb_service
from tests.services import postgres as postgres_service
from tests.services.database import FAMILIES, Database, Dataset
from tests.services.private import Private
from tests.services.server import Missing, Server, UnavailableError
from tests.services.session import BROKERS, DATABASES, STORES, Services, required

# Nothing fails for being slow: neither for the time that an example takes nor for the one that it takes to draw it.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
pytest_plugins = ("tests.tiers", "tests.figures")
SERVICES_KEY = pytest.StashKey[Services]()
REQUIRED_KEY = pytest.StashKey[frozenset[str]]()
WITHOUT_DATABASES = (
    "archive", "db", "outbox/sinks", "queue/handlers", "reporters", "runtime", "spec", "sql", "test_api.py",
    "test_durations.py", "test_house_rules.py", "test_tiers.py",
)  # fmt: skip
WITH_BROKERS = ("outbox",)
WITH_STORES = ("bulk/archiving/test_bucket.py", "crash/test_bucket.py")
NewDatabase = Callable[..., Database]


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[REQUIRED_KEY] = required()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None:
        config.stash[SERVICES_KEY] = Services.begin()
    else:
        config.stash[SERVICES_KEY] = Services.of_worker(worker["services"], worker["workerid"])


def pytest_unconfigure(config: pytest.Config) -> None:
    if services := config.stash.get(SERVICES_KEY, None):
        services.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist asks what a new worker should know: the servers are the controller's."""
    node.workerinput["services"] = node.config.stash[SERVICES_KEY].shared()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait, for a lease, a timeout, a process that starts."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start what is needed at once, before xdist starts its workers: all of them share it."""
    config = session.config
    if not hasattr(config, "workerinput"):
        config.stash[SERVICES_KEY].find_all(_wanted(config))


def _wanted(config: pytest.Config) -> list[str]:
    """By the paths that were asked for: unit tests wait for no database, and few tests for a broker."""
    here, options = Path(__file__).parent, config.option
    if options.collectonly or options.showfixtures or options.show_fixtures_per_test:
        return []
    paths = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    free = [here / name for name in WITHOUT_DATABASES]
    databases = not all(any(path.is_relative_to(place) for place in free) for path in paths)

    def some(places: tuple[str, ...]) -> bool:
        with_them = [here / name for name in places]
        return any(path.is_relative_to(one) or one.is_relative_to(path) for path in paths for one in with_them)

    return [
        *(DATABASES if databases else ()), *(BROKERS if some(WITH_BROKERS) else ()),
        *(STORES if some(WITH_STORES) else ()),
    ]  # fmt: skip


def pytest_report_header(config: pytest.Config) -> list[str]:
    found = config.stash[SERVICES_KEY].found()
    return [f"service: {server}" for server in found] or ["services: none needed so far"]


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Services:
    return pytestconfig.stash[SERVICES_KEY]


@pytest.fixture(scope="session")
def without(pytestconfig: pytest.Config) -> Callable[[Missing], NoReturn]:
    """Ends a test whose service is missing: skipped, or failed if it is required."""

    def without(missing: Missing) -> NoReturn:
        if missing.name in pytestconfig.stash[REQUIRED_KEY]:
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))

    return without


@pytest.fixture(scope="session")
def service(services: Services, without: Callable[[Missing], NoReturn]) -> Callable[[str], Server]:
    """A server by name."""

    def service(name: str) -> Server:
        found = services.find(name)
        return found if isinstance(found, Server) else without(found)

    return service


@pytest.fixture
def new_database(services: Services, service: Callable[[str], Server]) -> Iterator[NewDatabase]:
    """Makes databases: `new_database("mariadb")`, with a dataset, or `at` a server of the test's own."""
    with contextlib.ExitStack() as stack:

        def new_database(name: str, dataset: Dataset | None = None, at: Server | None = None) -> Database:
            return stack.enter_context(services.database(name, dataset, at or service(name)))

        yield new_database


@pytest.fixture
def postgresql(new_database: NewDatabase) -> Database:
    """An empty PostgreSQL database."""
    return new_database("postgresql")


@pytest.fixture
def mariadb(new_database: NewDatabase) -> Database:
    """An empty MariaDB database."""
    return new_database("mariadb")


@pytest.fixture
def sqlite(new_database: NewDatabase) -> Database:
    """An empty SQLite file."""
    return new_database("sqlite")


@pytest.fixture(params=list(FAMILIES))
def database(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """An empty database, of each kind in turn."""
    return new_database(request.param)


@pytest.fixture(params=list(FAMILIES))
def flights(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """All 336,776 flights of 2013, of each kind in turn."""
    return new_database(request.param, nycflights.YEAR)


@pytest.fixture(params=list(FAMILIES))
def january(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """The 27,004 flights of January, of each kind in turn: real, and quickly copied."""
    return new_database(request.param, nycflights.JANUARY)


@pytest.fixture(scope="module")
def private_postgresql(without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    """A server that a module's tests may stop and start."""
    with _private(postgres_service.NAME, postgres_service.private, without) as private:
        yield private


@pytest.fixture(scope="module")
def private_mariadb(without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    """A server that a module's tests may stop and start."""
    with _private(mariadb_service.NAME, mariadb_service.private, without) as private:
        yield private


@contextlib.contextmanager
def _private(name: str, make: Callable[[], Private], without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    try:
        private = make()
        private.start()
    except UnavailableError as error:
        without(Missing(name, str(error)))
    try:
        yield private
    finally:
        private.remove()


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Where processes of the command line are forked from."""
    with Forks(environment(tmp_path_factory.mktemp("forks"))) as forks:
        yield forks


@pytest.fixture
def batchops(tmp_path: Path, forks: Forks) -> Iterator[Batchops]:
    """The command line: `batchops("purge", "events", …)` gives .code .out .err .json(); also `.start(…)`."""
    home = tmp_path / "home"
    home.mkdir()
    with contextlib.closing(Batchops(home, forks)) as command:
        yield command
