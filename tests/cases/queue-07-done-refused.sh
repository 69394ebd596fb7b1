#!/bin/bash
# A --done that the database refuses for every row (a CHECK, no label of the enum, another partition) was noticed only
# when the handler had worked. Each row was then worked on until its attempts were used up: 40 jobs, 200 mails; all 40 were
# given up on. With a limit (--max-time, --max-batches) even that ended with exit 0.
# Shapes: outbox with CHECK (status IN ('PENDING','SENT','FAILED')), Prisma's enum columns, queues partitioned by status
# (treeverse/lakeFS#780).
# Expected: the marks are tried before the first row is worked on, or a refusal for all rows of a batch ends the drain.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
cat > work.py <<'S'
def send(rows):
    with open("mails.log", "a") as log:
        for row in rows:
            log.write(f"mail for {row['id']}\n")
S
P <<'S'
create table checked(id bigserial primary key, status text not null default 'PENDING' check (status in ('PENDING', 'SENT', 'FAILED')));
create type job_status as enum ('PENDING', 'COMPLETED');
create table enumerated(id bigserial primary key, status job_status not null default 'PENDING');
create table parted(id bigserial, status text not null default 'PENDING') partition by list (status);
create table parted_pending partition of parted for values in ('PENDING'); create table parted_rest partition of parted default;
create unique index on parted_pending(id);
S
for table in checked enumerated parted_pending; do
  P -c "insert into $table(status) select 'PENDING' from generate_series(1, 40)"; : > mails.log
  echo "--- $table"
  batchops queue init "${table%_pending}" --apply >/dev/null
  batchops drain $table --where "status = 'PENDING'" --done "status = 'DONE'" --backoff 50ms --poll 200ms --max-time 8s --call work:send -y 2>&1
  echo "exit $?; $(wc -l < mails.log) mails for 40 jobs"
done
