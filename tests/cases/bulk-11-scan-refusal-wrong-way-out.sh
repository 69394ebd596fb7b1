#!/bin/bash
# The check "scan" and sub-selects. (1) Keep the newest per group: the sub-select was what is read whole, the hint spoke of
# ANALYZE and the collation of an index. (2) MariaDB, Drupal's "keep the newest 1,000": a LIMIT 1000 along the primary key
# was taken for a read of all 60,000 rows.
# Expected: (1) the sub-select reads log itself: put the ids aside, and say id IN (SELECT id FROM that table); (2) 1,000 left.
. "$(dirname "$0")/servers.sh"
new_postgresql
P -c "CREATE TABLE log (id int PRIMARY KEY, s int, u int); INSERT INTO log SELECT i, i % 5000, i % 7 FROM generate_series(1, 120000) i;
CREATE INDEX ON log (s, u); ANALYZE"
batchops purge log --where "id NOT IN (SELECT max(id) FROM log GROUP BY s, u)" --url "$PG" -y; echo "exit $?"
batchops purge log --where "id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY s ORDER BY id DESC) n FROM log) x WHERE n > 10)" --url "$PG" -y
echo "exit $?, left: $(P -c 'SELECT count(*) FROM log') of 120000"
new_mariadb
Q -e "CREATE TABLE watchdog (wid int unsigned AUTO_INCREMENT PRIMARY KEY, message longtext);
INSERT INTO watchdog (message) SELECT 'm' FROM seq_1_to_60000"
batchops purge watchdog --where "wid < (SELECT min(wid) FROM (SELECT wid FROM watchdog ORDER BY wid DESC LIMIT 1000) x)" --url "$MY" -y
echo "exit $?, left: $(Q -e 'SELECT count(*) FROM watchdog')"
