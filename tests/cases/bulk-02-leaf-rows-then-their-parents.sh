#!/bin/bash
# "Rows that nobody replies to" (Mastodon's, Synapse's, GoToSocial's clean-up): once the leaves are gone their parents
# match too, and were deleted although they did not match at the start. The other way round, "every row that has a
# duplicate" left one of each behind. Exit 0 both times, no warning.
# Expected: refused before the first write, or exactly the rows that matched at the start (30,000 statuses left, no pairs).
. "$(dirname "$0")/servers.sh"
new_postgresql
P <<'SQL'
CREATE TABLE statuses (id bigint PRIMARY KEY, in_reply_to_id bigint);   -- 30,000 replies, then the 30,000 they reply to
INSERT INTO statuses SELECT i, CASE WHEN i <= 30000 THEN i + 30000 END FROM generate_series(1, 60000) i;
CREATE INDEX ON statuses (in_reply_to_id);
CREATE TABLE pairs (id bigint PRIMARY KEY, name text NOT NULL);         -- each name twice
INSERT INTO pairs SELECT i, 'n' || i % 15000 FROM generate_series(1, 30000) i;
CREATE INDEX ON pairs (name);
ANALYZE;
SQL
leaves="NOT EXISTS (SELECT 1 FROM statuses r WHERE r.in_reply_to_id = statuses.id)"
twice="EXISTS (SELECT 1 FROM pairs b WHERE b.name = pairs.name AND b.id <> pairs.id)"
batchops purge statuses --where "$leaves" --url "$PG" -y --allow scan
echo "exit $?, left: $(P -c 'SELECT count(*) FROM statuses') of 60000"
batchops purge pairs --where "$twice" --url "$PG" -y --allow scan
echo "exit $?, left: $(P -c 'SELECT count(*) FROM pairs') of 30000"
