#!/bin/bash
# A role that may update only the columns that are written (status and the lease's, or sent_at) was refused with 12, though
# the server lets it do everything that drain and relay do: FOR UPDATE needs UPDATE on one column, no more.
# Reports: mathesar-foundation/mathesar#4965 (same fault, fixed), zarusz/SlimMessageBus#297 (outbox asks for too many rights).
# Expected: the drain and the relay work; 12 only where the right to one of those columns is missing, naming it.
. "$(dirname "$0")/servers.sh"
new_postgresql
P -c "create table jobs(id bigserial primary key, name text, status text default 'new')" -c "insert into jobs(name) values ('a')" \
  -c "create table outbox(id bigserial primary key, aggregate_id text, payload text, sent_at timestamptz)" -c "insert into outbox(aggregate_id, payload) values ('1', 'a')"
batchops queue init jobs --apply --url "$PG" >/dev/null
batchops relay outbox --url "$PG" --to file:first.jsonl -q
P -c "update outbox set sent_at = null"
role=$DB # roles are the server's, so this one goes with the case
trap 'P -c "drop owned by \"$role\"" -c "drop role \"$role\""; drop' EXIT
P -c "create role \"$role\" login password 'of-the-case'" -c "grant select on jobs, outbox to \"$role\"" \
  -c "grant select, insert, update, delete on batchops_relay, batchops_shard, batchops_failed to \"$role\"" \
  -c "grant update (status, lease, lease_until, attempts, next_at, failure) on jobs to \"$role\"" -c "grant update (sent_at) on outbox to \"$role\""
as_role() { PGUSER=$role PGPASSWORD=of-the-case "$@" 2>&1; echo "exit $?"; }
echo "--- by hand"
as_role psql -qXAt -d "$DB" -c "begin; select id from jobs where status = 'new' for update skip locked; update jobs set lease = 'x', attempts = attempts + 1; rollback"
echo "--- drain and relay"
as_role batchops drain jobs --url "$PG" --where "status = 'new'" --done "status = 'done'" --exec true -y
as_role batchops relay outbox --url "$PG" --to file:second.jsonl -y
echo "--- without the right to one column each"
P -c "revoke update (lease_until) on jobs from \"$role\"" -c "revoke update (sent_at) on outbox from \"$role\""
as_role batchops drain jobs --url "$PG" --where "status = 'new'" --done "status = 'done'" --exec true -y
as_role batchops relay outbox --url "$PG" --to file:second.jsonl -y
