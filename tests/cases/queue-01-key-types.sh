#!/bin/bash
# drain crashed while marking rows done where the key is BINARY, DATETIME, DATE, TIME, DECIMAL or DOUBLE (MariaDB) or
# BLOB or REAL (SQLite): the work was done, nothing was marked, exit 1. PostgreSQL takes all of these.
# Shape: hibernate-search's outbox on MySQL (UUIDs in BINARY(16)), tables partitioned by time with the key (id, created_at).
# Expected: 3 rows marked done, exit 0, for every key.
. "$(dirname "$0")/servers.sh"
new_mariadb
cat > work.py <<'S'
def work(rows):
    print("worked on", len(rows), "rows", flush=True)
S
drain() { # the columns, as a title; the URL
  batchops queue init jobs --apply --url "$2" >/dev/null
  echo "--- $1"
  batchops drain jobs --url "$2" --where "status = 0" --done "status = 1" --call work:work -y 2>&1
  echo "exit $?"
}
mariadb_key() { # the key's columns, their names, three values
  Q -e "drop table if exists jobs; create table jobs($1, status int not null default 0, primary key($2)); insert into jobs($2) values $3"
  drain "$1" "$MY"
  echo "marked done: $(Q -e 'select count(*) from jobs where status = 1') of 3"
}
mariadb_key "id binary(16) not null" id "(unhex(md5(1))),(unhex(md5(2))),(unhex(md5(3)))"
mariadb_key "id bigint not null, created_at datetime(6) not null" "id, created_at" "(1,now(6)),(2,now(6)),(3,now(6))"
mariadb_key "id decimal(20,0) not null" id "(1),(2),(3)"
mariadb_key "id date not null" id "('2026-01-01'),('2026-01-02'),('2026-01-03')"
mariadb_key "id time(3) not null" id "('-01:00:00'),('00:00:00.125'),('99:00:00')"
mariadb_key "id double not null" id "(1),(2.5),(3)"
sqlite_key() { # the key's type, three values
  L "drop table if exists jobs; create table jobs(id $1 primary key not null, status int not null default 0); insert into jobs(id) values $2"
  drain "SQLite: id $1" "$LITE"
  echo "marked done: $(L 'select count(*) from jobs where status = 1') of 3"
}
sqlite_key blob "(x'01'),(x'02'),(x'03')"
sqlite_key real "(0.1),(2.5),(3)"
