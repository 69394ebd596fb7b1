#!/bin/bash
# drain --order "priority DESC" claims the right rows but hands each batch over from the lowest priority up: the most
# urgent row of a batch comes last (with --exec: minutes later).
# Shapes: pg-boss, procrastinate, Prisma queues (ORDER BY priority DESC, created_at).
# Expected: the handler sees 9 8 7 6 5 4 3 2 1 0, and in batches of five 9 8 7 6 5, then 4 3 2 1 0.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P -c "create table jobs(id bigserial primary key, priority int, run_at timestamptz, done boolean default false)"
cat > work.py <<'S'
def work(rows):
    print(*[r["priority"] for r in rows], flush=True)
S
batchops queue init jobs --apply >/dev/null
fill() { P -c "truncate jobs" -c "insert into jobs(priority, run_at) select i % 10, now() - i * interval '1 min' from generate_series(10, 19) i"; }
fill; echo "order DESC, one batch:"; batchops drain jobs --where "not done" --order "priority DESC" --done "done = true" --call work:work -y 2>&1 | grep -v "^drain"
fill; echo "order DESC, batches of 5:"; batchops drain jobs --where "not done" --order "priority DESC" --batch-size 5 --done "done = true" --call work:work -y 2>&1 | grep -v "^drain"
