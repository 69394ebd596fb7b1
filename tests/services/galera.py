"""Two nodes of a Galera cluster, both private, where the library of Galera is installed."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.services import mariadb
from tests.services.private import Private, free_port
from tests.services.server import UnavailableError
from tests.waiting import until

LIBRARIES = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")


@contextmanager
def cluster() -> Iterator[tuple[Private, Private]]:
    """The second one holds the first one up as soon as a single write set waits for it."""
    library = next((one for one in LIBRARIES if Path(one).exists()), None)
    if library is None:
        raise UnavailableError("galera-4 is not installed")
    if shutil.which("rsync") is None:
        raise UnavailableError("rsync, by which a node gets its copy, is not installed")
    first, second = mariadb.private(), mariadb.private()
    try:
        _seed(first)
        port = free_port()
        _join(first, library, port, "")
        _join(second, library, free_port(), f"127.0.0.1:{port}")
        first.start()
        second.start()
        until(lambda: size(first) == size(second) == "2")
        yield first, second
    finally:
        second.remove()
        first.remove()


def _seed(node: Private) -> None:
    """Its account is there before there is a cluster; the other node gets it with the copy."""
    node.start()
    node.stop(signal.SIGTERM)


def _join(node: Private, library: str, port: int, cluster: str) -> None:
    options = f"gcache.size=16M;gcs.fc_limit=1;gmcast.listen_addr=tcp://127.0.0.1:{port};ist.recv_bind=127.0.0.1"
    node.argv = [
        *(word for word in node.argv if not str(word).startswith("--init-file")),
        "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON", f"--wsrep-provider={library}",
        f"--wsrep-cluster-address=gcomm://{cluster}", "--wsrep-cluster-name=batchops", "--wsrep-sst-method=rsync",
        f"--wsrep-node-address=127.0.0.1:{port}", f"--wsrep-provider-options={options}",
    ]  # fmt: skip


def size(node: Private) -> str:
    """How many nodes it sees that it writes with."""
    with closing(mariadb.connect(node.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'wsrep_cluster_size'")
        return str((cursor.fetchone() or ("", ""))[1])
