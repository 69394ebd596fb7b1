#!/bin/bash
# A --set that a CHECK refuses for every row: batchops went on row by row (a million rows would be five hours) instead of
# stopping, showed no reason, and with --max-time ended in 0 and, with -q, without a word.
# Expected: stop after so many refusals, or a share of them, with the reason (violates check constraint
# "prices_cents_check") in the summary, in --json and in `show`; never exit 0 where rows were refused.
. "$(dirname "$0")/servers.sh"
new_postgresql
P -c "CREATE TABLE prices (id int PRIMARY KEY, cents int CHECK (cents > 0));
INSERT INTO prices SELECT i, i FROM generate_series(1, 30000) i; ANALYZE"
job=(backfill prices --all-rows --set "cents = -cents" --url "$PG" -y --max-time 5min --max-rejected 100 --batch-size 50)
batchops "${job[@]}"; echo "exit $?, changed: $(P -c 'SELECT count(*) FROM prices WHERE cents < 0')"
echo "--- with -q, as in cron"; batchops "${job[@]}" -q; echo "exit $?"
echo "--- with --json"; batchops "${job[@]}" --json | python3 -c "
import json, sys
document = json.load(sys.stdin)
print(document['reason'], document['exit'], document['error'])"
echo "--- afterwards"; batchops show 1 --url "$PG" | grep -E '^(state|rejected)'
