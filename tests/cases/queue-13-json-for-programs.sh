#!/bin/bash
# What --exec and --post got was not always JSON, and not always what the column holds (PostgreSQL):
# a) NaN and infinity in a float column, or 1e400 in a json column, became NaN / Infinity: no JSON parser but Python's takes that.
# b) Numbers inside json/jsonb were read as floats: an amount of 1234567890123456.78 arrived as ...456.8, large ones as 1e+19.
# Reports: apify/apify-client-python#87, apache/openwhisk-package-kafka#319 (a); feldera/feldera#816, debezium#3225 (b).
# Expected: a) as text, like the numbers that JSON would round; b) documents passed on as they stand.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P -c "create table jobs(id bigserial primary key, status text default 'new', score double precision, data jsonb)" \
  -c "insert into jobs(score, data) values ('NaN', '{\"amount\": 1234567890123456.78, \"id\": 12345678901234567890.5, \"price\": 1.10}'), ('-Infinity', '{}')"
batchops queue init jobs --apply >/dev/null
cat > keep.sh <<'S'
#!/bin/sh
cat >> rows.jsonl
S
chmod +x keep.sh
batchops drain jobs --where "status = 'new'" --done "status = 'done'" --exec ./keep.sh -y 2>&1; echo "exit $?"
python3 - <<'S'
import json

def strict(word): raise ValueError(f"{word} is no JSON")

for line in open("rows.jsonl"):
    row = json.loads(line, parse_constant=strict, parse_float=str)
    print("JSON:", row["score"], row["data"])
S
