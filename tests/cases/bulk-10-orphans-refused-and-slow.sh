#!/bin/bash
# recipes/orphans.toml's condition. With a parent of 25,000 rows it was refused (exit 12) and an index was asked for that
# is there: the primary key. With one of 400,000 it ran, but whenever the batch had grown past some 3,000 rows PostgreSQL
# hashed the whole parent, the batch was halved and grew again: 20 times the time of one DELETE.
# Expected: no refusal where the whole read is cheap beside the batch, and the orphans alone gone (10,000 of 20,000
# rows). How long it takes is for the benchmark: python -m tests.benchmarks refused.
. "$(dirname "$0")/servers.sh"
new_postgresql
for n in 25000 100000; do
  P -c "DROP TABLE IF EXISTS child, parent" 2>/dev/null
  P -c "CREATE TABLE parent (id bigint PRIMARY KEY, x text); CREATE TABLE child (id bigint PRIMARY KEY, parent_id bigint NOT NULL);
  INSERT INTO parent SELECT i * 2, repeat('x', 50) FROM generate_series(1, $n) i;
  INSERT INTO child SELECT i, 1 + (i * 7::bigint) % ($n * 2) FROM generate_series(1, 20000) i; ANALYZE"
  batchops purge child --where "NOT EXISTS (SELECT 1 FROM parent WHERE parent.id = child.parent_id)" --url "$PG" -yq
  echo "parent of $n rows: exit $?, left: $(P -c 'SELECT count(*) FROM child')," \
    "orphans: $(P -c 'SELECT count(*) FROM child LEFT JOIN parent ON parent.id = parent_id WHERE parent.id IS NULL')"
done
