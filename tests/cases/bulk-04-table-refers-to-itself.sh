#!/bin/bash
# Home Assistant's states.old_state_id (and every comment tree): a foreign key to the table itself. One DELETE takes the
# whole chain; batchops began with the parents, each of which was refused, and deleted next to nothing.
# Expected: children first (the key downwards), or refused rows tried again once the rest is gone, so that 100 and 140
# rows are left; and a word in the plan that the table refers to itself.
. "$(dirname "$0")/servers.sh"
new_postgresql
P <<'SQL'
CREATE TABLE states (state_id bigint PRIMARY KEY, last_updated_ts float, old_state_id bigint REFERENCES states (state_id));
INSERT INTO states SELECT i, i, CASE WHEN i > 20 AND i NOT BETWEEN 301 AND 320 THEN i - 20 END FROM generate_series(1, 400) i;
CREATE INDEX ON states (old_state_id); ANALYZE;
SQL
batchops purge states --where "last_updated_ts <= 300" --url "$PG" -y
echo "PostgreSQL: exit $?, left: $(P -c 'SELECT count(*) FROM states')"
new_mariadb
Q -e "CREATE TABLE entry (id int PRIMARY KEY, entry_id int NULL, gone bool NOT NULL, KEY (entry_id), FOREIGN KEY (entry_id) REFERENCES entry (id));
INSERT INTO entry SELECT seq, IF(seq % 10 = 1, NULL, seq - 1), (seq - 1) % 30 < 20 FROM seq_1_to_420"
batchops purge entry --where "gone" --url "$MY" -y
echo "MariaDB: exit $?, left: $(Q -e 'SELECT count(*) FROM entry')"
