#!/bin/bash
# MariaDB and MySQL: a column ON UPDATE current_timestamp changes with every backfill. A trigger that does the same is
# refused until it is allowed; of this the plan and `check` said nothing, and updated_at of all rows was today's.
# Expected: a line in the plan with the way out, --set "updated_at = updated_at", which keeps it in all 1,000 rows.
. "$(dirname "$0")/servers.sh"
new_mariadb
Q -e "CREATE TABLE products (id int PRIMARY KEY, name varchar(99),
lower_name varchar(99), updated_at timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp());
INSERT INTO products SELECT seq, concat('N', seq), NULL, '2020-01-01' FROM seq_1_to_1000"
job=(backfill products --all-rows --set "lower_name = lower(name)" --url "$MY")
batchops "${job[@]}" -n 2>&1 | grep -i 'warning.*updated_at' || echo "the plan does not mention updated_at"
batchops "${job[@]}" --set "updated_at = updated_at" -y
echo "exit $?, updated_at kept in $(Q -e "SELECT count(*) FROM products WHERE updated_at = '2020-01-01'") of 1000 rows"
