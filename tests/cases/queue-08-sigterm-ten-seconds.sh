#!/bin/bash
# The first SIGTERM did not end a drain "after the batch in hand": after ten seconds, which no option changed, the batch
# was cut. The --exec program went on by itself, its row was free at once, and another worker started a second one beside
# it. The cut drain exited 0.
# Reports: que-rb/que#254 (a deadline for shutting down, settable), rq/rq#1516, David-Crty/databasement#488 (two at a time).
# Expected: the batch in hand is finished, as long as --grace says; then its program is ended, with its children, before
# the row is handed back; and no exit 0 for work that was cut off.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P -c "create table jobs(id bigserial primary key, status text default 'new')" -c "insert into jobs default values"
batchops queue init jobs --apply >/dev/null
cat > export.sh <<'S'
#!/bin/sh
sh -c 'echo $$ > child; echo begun; until [ -e go ]; do sleep 0.05; done' >> log
echo "ended by itself" >> log
S
chmod +x export.sh
drain() { # until it has begun
  : > log; rm -f events.jsonl
  batchops drain jobs --poll 1s --where "status = 'new'" --done "status = 'done'" --exec ./export.sh -y --events events.jsonl "$@" > out.txt 2>&1 &
  drain=$!
  until grep -q begun log; do sleep 0.05; done
}
told() { echo "exit $?"; cat out.txt; cat log; P -c "select status, attempts from jobs"; }
echo "--- longer than the grace period"
drain --grace 1s; kill -TERM $drain; wait $drain; told
ps -o stat= -p "$(cat child)" | grep -qv Z && echo "a child of the program is still there"
echo "--- within the grace period"
drain --grace 1min; kill -TERM $drain
until grep -q stopping events.jsonl; do sleep 0.05; done
touch go; wait $drain; told
