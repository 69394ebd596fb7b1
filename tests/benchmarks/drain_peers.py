"""One peer drains its own queue: `python -m tests.benchmarks.drain_peers NAME URL JOBS SETTING` prints jobs/s."""

import sys
import time

import psycopg


async def pgqueuer(url: str, jobs: int, batch: int) -> float:
    """Drain mode with asyncpg and uvloop; the setting is the batch size of a claim."""
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.qm import QueueManager
    from pgqueuer.queries import Queries
    from pgqueuer.types import QueueExecutionMode

    connection = await asyncpg.connect(url)
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    try:
        await queries.install()
        for start in range(0, jobs, 1_000):
            count = min(1_000, jobs - start)
            await queries.enqueue(["noop"] * count, [b"job"] * count, [0] * count)
        await connection.execute("VACUUM ANALYZE")
        manager = QueueManager(queries)

        @manager.entrypoint("noop")
        async def noop(job: object) -> None:
            """Nothing to do."""

        before = time.perf_counter()
        await manager.run(batch_size=batch, mode=QueueExecutionMode.drain)
        seconds = time.perf_counter() - before
        left = (await connection.fetchrow("SELECT count(*) FROM pgqueuer"))[0]
        assert left == 0, f"{left} left"
        return jobs / seconds
    finally:
        await queries.uninstall()
        await connection.close()


async def procrastinate(url: str, jobs: int, concurrency: int) -> float:
    """A worker that ends when its queue is empty and deletes what is done; the setting is its concurrency."""
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=url, max_size=concurrency + 4))

    @app.task(name="noop")
    async def noop(number: int) -> None:
        """Nothing to do."""

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, jobs, 1_000):
            some = [{"number": number} for number in range(start, min(start + 1_000, jobs))]
            await noop.batch_defer_async(*some)
        before = time.perf_counter()
        await app.run_worker_async(
            concurrency=concurrency, wait=False, delete_jobs="always", install_signal_handlers=False
        )
        seconds = time.perf_counter() - before
    with psycopg.connect(url, autocommit=True) as connection:
        left = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    assert left == (0,), f"{left} left"
    return jobs / seconds


def main() -> None:
    import uvloop

    name, url, jobs, setting = sys.argv[1:]
    peer = {"pgqueuer": pgqueuer, "procrastinate": procrastinate}[name]
    print(f"{uvloop.run(peer(url, int(jobs), int(setting))):.1f}")


if __name__ == "__main__":
    main()
