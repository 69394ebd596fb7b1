#!/bin/bash
# relay --shards 2 with one process delivers the aggregates of one slot only, says "done", exit 0, and never comes to the
# others: neither at once, nor at the next run, nor after a relay beside it was killed and its lease ran out.
# Expected: a relay takes every slot that is free (and gives one back when another comes), or at least does not say
# "done" with exit 0 while free slots have unsent events.   Like wolverine#3954, #565: a backlog that nobody owns, unseen.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P -c "create table outbox(id bigserial primary key, aggregate_type text, aggregate_id text, event_type text, payload text, sent_at timestamptz)" \
  -c "insert into outbox(aggregate_type, aggregate_id, event_type, payload) select 'order', (i % 20)::text, 'E', i::text from generate_series(1, 200) i"
for run in 1 2 3; do
  batchops relay outbox --shards 2 --to file:events.jsonl 2>&1 | tail -1; echo "exit ${PIPESTATUS[0]}"
done
echo "unsent after three runs: $(P -c 'select count(*) from outbox where sent_at is null') of 200"
echo "--- two relays, one killed"
P -c "update outbox set sent_at = null"
relay=(relay outbox --shards 2 --lease 2s --poll 200ms)
unsent() { P -c "select count(*) from outbox where sent_at is null"; }
batchops "${relay[@]}" --sleep 100ms --batch-size 5 --to file:a.jsonl >/dev/null 2>&1 & first=$!
until [ -s a.jsonl ]; do sleep 0.05; done
batchops "${relay[@]}" --sleep 100ms --batch-size 5 --to file:b.jsonl >/dev/null 2>&1 & second=$!
until [ -s b.jsonl ]; do sleep 0.05; done
kill -KILL $first; wait $first 2>/dev/null
until [ "$(unsent)" = 0 ]; do sleep 0.1; done
kill -TERM $second; wait $second; echo "exit $?, unsent by the one that is left: $(unsent)"
