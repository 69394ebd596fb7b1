#!/bin/bash
# A backfill that may not be applied twice, ended incomplete (exit 3) as some rows were refused. The command that it
# printed "to go on" ended at once in 0, --json said reason "done", rejected 0. Those rows could not be reached any
# more: --restart would have applied the change a second time to all others.
# Expected: the second run takes up the rows that were refused (it knows which it changed), so that each row has the change
# exactly once; or at least exit 3 again and one line that says so.
. "$(dirname "$0")/servers.sh"
new_postgresql
P -c "CREATE TABLE prices (id int PRIMARY KEY, cents int CONSTRAINT positive CHECK (cents > 0));
INSERT INTO prices SELECT i, CASE WHEN i % 25 = 0 THEN 5 ELSE 100 END FROM generate_series(1, 1000) i; ANALYZE"
job=(backfill prices --all-rows --set "cents = cents - 10" --url "$PG" -y)
batchops "${job[@]}"; echo "exit $?"
P -c "ALTER TABLE prices DROP CONSTRAINT positive"
echo "--- the cause is mended, the same command again"
batchops "${job[@]}"; echo "exit $?"
P -c "SELECT count(*) || ' rows of ' || cents FROM prices GROUP BY cents ORDER BY cents"
echo "--- and again"
batchops "${job[@]}"; echo "exit $?"
