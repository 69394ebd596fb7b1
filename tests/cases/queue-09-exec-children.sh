#!/bin/bash
# --exec looked at its program alone, not at what the program has started.
# a) A script that starts a helper in the background and exits 0 counted as failed ("did not end within ..."), as the
#    helper holds its stdout: with the defaults each row was waited for 150 s, worked on five times, and given up on.
# b) A script that takes too long was killed, its children were not: they went on beside the next attempt.
# Reports: NousResearch/hermes-agent#60485 (a), #71148 (b), zalando-zmon/zmon-worker#426 (b).
# Expected: a) done, once the program itself has exited 0. b) the whole process group ended (it has a session of its own).
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P -c "create table jobs(id bigserial primary key, status text default 'new')" -c "insert into jobs default values"
batchops queue init jobs --apply >/dev/null
cat > background.sh <<'S'
#!/bin/sh
sleep 300 &
echo $! >> children
exit 0
S
cat > slow.sh <<'S'
#!/bin/sh
sh -c 'echo $$ >> children; sleep 300; true'
S
chmod +x background.sh slow.sh
for script in background slow; do
  : > children; P -c "update jobs set status = 'new', attempts = 0, next_at = null, failure = null, lease = null"
  echo "--- $script.sh"
  batchops drain jobs --deadline 1s --max-attempts 2 --backoff 0s --where "status = 'new'" --done "status = 'done'" --exec ./$script.sh -y 2>&1
  echo "exit $?"
  P -c "select status, attempts, failure from jobs"
  running=0
  for child in $(cat children); do kill -0 "$child" 2>/dev/null && running=$((running + 1)); done
  echo "attempts: $(wc -l < children), children that are still running: $running"
  kill $(cat children) 2>/dev/null
done
