#!/bin/bash
# A condition with a sub-select on the purged table means something else in each batch: "the oldest 2,000 rows" once
# deleted several times as many, silently, with exit 0.
# Expected: exit 12 before the first write, and the way out (put the ids aside first); or the sub-select evaluated once, at
# the start, and exactly the rows that one DELETE takes: 2,000, or 1,999 where it says "less than the first + 2,000".
. "$(dirname "$0")/servers.sh"
new_postgresql
fill="DROP TABLE IF EXISTS audit_log; CREATE TABLE audit_log (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
INSERT INTO audit_log SELECT i, now() - (20000 - i) * interval '1 min' FROM generate_series(1, 20000) i;
CREATE INDEX ON audit_log (created_at); ANALYZE audit_log"
for where in "id IN (SELECT id FROM audit_log ORDER BY created_at LIMIT 2000)" \
             "created_at < (SELECT min(created_at) + interval '1 day' FROM audit_log)"; do
  P -c "$fill" 2>/dev/null
  plain=$(P -c "SELECT count(*) FROM audit_log WHERE $where")
  batchops purge audit_log --where "$where" --url "$PG" -y --restart; code=$?
  echo "PostgreSQL: exit $code; one DELETE: $plain rows; batchops: $((20000 - $(P -c 'SELECT count(*) FROM audit_log')))"
done
where="id < (SELECT min(id) + 2000 FROM audit_log)"
new_mariadb
Q -e "CREATE TABLE audit_log (id bigint PRIMARY KEY); INSERT INTO audit_log SELECT seq FROM seq_1_to_20000"
batchops purge audit_log --where "$where" --url "$MY" -y; code=$?
echo "MariaDB: exit $code; one DELETE: 2000 rows; batchops: $((20000 - $(Q -e 'SELECT count(*) FROM audit_log')))"
L "CREATE TABLE audit_log (id integer PRIMARY KEY); WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s
WHERE i < 20000) INSERT INTO audit_log SELECT i FROM s; ANALYZE"
batchops purge audit_log --where "$where" --url "$LITE" -y; code=$?
echo "SQLite: exit $code; one DELETE: 2000 rows; batchops: $((20000 - $(L 'SELECT count(*) FROM audit_log')))"
