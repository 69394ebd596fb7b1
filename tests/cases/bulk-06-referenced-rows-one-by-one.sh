#!/bin/bash
# Airflow's dag_version, still referenced ON DELETE RESTRICT: each referenced row cost a batch of its own (half of 6,000
# rows: a minute), and the summary named neither the constraint nor the table that refers. The plan said nothing of it.
# Expected: the plan counts the rows that are referenced and will stay (3,000, by task_instance), they are left out by an
# anti-join, and the end says why they stayed.
. "$(dirname "$0")/servers.sh"
new_postgresql
P <<'SQL'
CREATE TABLE dag_version (id int PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TABLE task_instance (id int PRIMARY KEY, dag_version_id int REFERENCES dag_version (id) ON DELETE RESTRICT);
INSERT INTO dag_version SELECT i, now() - interval '1 year' FROM generate_series(1, 6000) i;
INSERT INTO task_instance SELECT i, i * 2 FROM generate_series(1, 3000) i;
CREATE INDEX ON task_instance (dag_version_id); ANALYZE;
SQL
old="created_at < now() - interval '90 days'"
batchops purge dag_version --where "$old" --url "$PG" -n | grep -E '^  stay' || echo "the plan does not mention task_instance"
batchops purge dag_version --where "$old" --url "$PG" -y
echo "exit $?, left: $(P -c 'SELECT count(*) FROM dag_version')"
