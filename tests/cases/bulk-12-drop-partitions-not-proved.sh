#!/bin/bash
# --drop-partitions with the usual kind of condition, created_at < now() - interval '60 days': "No partition is covered
# whole, so far as the server can prove", though two are; only --older-than or a literal worked. On MariaDB the same
# sentence was said of partitions that are plainly covered: dropping is not there at all for it.
# Expected: the pinned moment worked out to one literal, both partitions dropped, the default one's rows deleted; MariaDB:
# "only PostgreSQL's partitions can be dropped".
. "$(dirname "$0")/servers.sh"
new_postgresql
fill() {
  P <<'SQL'
SET client_min_messages = error;
DROP TABLE IF EXISTS ev;
CREATE TABLE ev (id bigint, created_at timestamptz NOT NULL, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE ev_d PARTITION OF ev DEFAULT;
INSERT INTO ev SELECT i, timestamptz '2020-01-01' + i * interval '3 hours' FROM generate_series(1, 9000) i; ANALYZE;
SQL
}
purge() {
  fill; batchops purge ev "$@" --url "$PG" -y --drop-partitions --restart
  echo "exit $?, partitions left: $(P -c "SELECT string_agg(inhrelid::regclass::text, ' ') FROM pg_inherits WHERE inhparent = 'ev'::regclass")," \
    "rows left: $(P -c 'SELECT count(*) FROM ev')"
}
purge --where "created_at < now() - interval '60 days'"
purge --where "created_at < current_date - 60"
purge --where "created_at < date_trunc('month', now())"
purge --older-than 60d --by created_at
new_mariadb
Q -e "CREATE TABLE history_uint (itemid bigint unsigned, clock int, ns int, PRIMARY KEY (itemid, clock, ns)) PARTITION BY RANGE (clock)
 (PARTITION p1 VALUES LESS THAN (1700000000), PARTITION p2 VALUES LESS THAN (1700100000), PARTITION pm VALUES LESS THAN MAXVALUE);
INSERT INTO history_uint SELECT seq, 1699900000 + seq, 0 FROM seq_1_to_300000"
batchops purge history_uint --where "clock < 1700150000" --url "$MY" -y --drop-partitions; echo "exit $?"
