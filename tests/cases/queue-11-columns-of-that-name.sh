#!/bin/bash
# queue init said "can be drained" whatever a column called attempts, lease, lease_until, next_at or failure already was:
# a) attempts TINYINT UNSIGNED (Laravel's jobs) with one row at 255: no row of the queue could be claimed, exit 1, row unnamed.
# b) attempts NULL (Wolverine, old delayed_jobs: a default, no NOT NULL): a failing row ended the drain with a TypeError.
# c) attempts counted by the application: a row it had tried 5 times was given up on at our first failure, unsaid.
# d) next_at / lease_until timestamptz: exit 13, "The table changed underneath".
# Reports: laravel/framework#58941 and #58978 (a row at 255 halts the queue). Shapes: wolverine_outgoing_envelopes, pactix.
# Expected: init and the plan say which existing columns are taken over; another type refused with 12 and the way out
# (--lease-in table, or names of one's own); NULL read as 0; a row that cannot be counted set aside, the rest drained.
. "$(dirname "$0")/servers.sh"
new_postgresql
new_mariadb
cat > work.py <<'S'
def fail(rows): return ["no answer"] * len(rows)
def fine(rows): return None
S
init() { batchops queue init "$@" --apply 2>&1; echo "exit $?"; }
drain() {
  job=(drain "$@" --where "status = 0" --done "status = 1")
  batchops "${job[@]}" -n 2>/dev/null | grep '^  leases'
  batchops "${job[@]}" -y 2>&1; echo "exit $?"
}
echo "--- a: one row at 255"
Q -e "create table jobs(id bigint unsigned auto_increment primary key, payload longtext not null, attempts tinyint unsigned not null, reserved_at int unsigned, available_at int unsigned not null, status int not null default 0); insert into jobs(payload, attempts, available_at) values ('{}',255,0),('{}',0,0),('{}',0,0),('{}',0,0)"
init jobs --url "$MY"; drain jobs --url "$MY" --call work:fine
echo "$(Q -e 'select count(*) from jobs where status = 1 and id > 1') of 3 good rows done"
echo "--- b: attempts NULL"
P -c "create table b(id bigserial primary key, status int default 0, attempts int default 0)" -c "insert into b(attempts) values (null)"
init b --url "$PG"; drain b --url "$PG" --call work:fail
echo "--- c: attempts counted by the application"
P -c "create table c(id bigserial primary key, status int default 0, attempts int not null default 0)" -c "insert into c(attempts) values (5)"
init c --url "$PG"; drain c --url "$PG" --call work:fail
echo "--- d: next_at of another type"
P -c "create table d(id bigserial primary key, status int default 0, next_at timestamptz default now())" -c "insert into d default values"
init d --url "$PG"; drain d --url "$PG" --call work:fine
init d --lease-prefix own_ --url "$PG"; drain d --lease-prefix own_ --url "$PG" --call work:fine
