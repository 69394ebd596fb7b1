#!/bin/bash
# Errors whose code or hint pointed elsewhere.
# Expected: 1: exit 2, the table has no alias here. 2: quotes in --by are taken as those of the table are. 3: exit 12 and
# ALTER TABLE archive REPLICA IDENTITY. 4: nothing deleted, or a warning: user means the role, not the column. 5: a hint for
# materialized views. 6: it is the trigger's function or the index's collation that is missing, and a hint.
. "$(dirname "$0")/servers.sh"
new_postgresql
P -c 'CREATE TABLE base (id int PRIMARY KEY, "createdAt" timestamptz, "user" text); INSERT INTO base SELECT i, now(), $$u$$ || i FROM generate_series(1, 100) i' \
  -c 'CREATE TABLE archive (id int NOT NULL, t timestamptz)' -c 'CREATE PUBLICATION p FOR TABLE archive' -c 'CREATE MATERIALIZED VIEW mv AS SELECT 1 AS id'
echo "1 an alias in a sub-select, as every copied statement has one (once exit 10, 'no such table')"
batchops purge base --where "EXISTS (SELECT 1 FROM archive x WHERE x.id = a.id)" --url "$PG" -y; echo "  exit $?"
echo "2 quotes in --by, as in the name of the table"
batchops purge '"base"' --older-than 1d --by '"createdAt"' --url "$PG" -y; echo "  exit $?"
echo "3 published without a replica identity (once exit 1, even for --dry-run)"
batchops purge archive --all-rows --url "$PG" -n; echo "  exit $?"
echo "4 a column called user, unquoted: it means the role here, and every row would go"
batchops purge base --where "user = '$PGUSER'" --url "$PG" -y; echo "  exit $?, left: $(P -c 'SELECT count(*) FROM base')"
echo "5 a materialized view"
batchops purge mv --where "id = 1" --url "$PG" -y; echo "  exit $?"
echo "6 SQLite, calibre and Plex: a trigger's function or an index's collation that only the application has"
python3 - "$W/case.db" <<'PY'
import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.create_collation("icu_root", lambda a, b: (a > b) - (a < b)); c.create_function("title_sort", 1, str)
c.executescript("CREATE TABLE books (id integer PRIMARY KEY, title text, sort text, seen int); CREATE TABLE items (id integer PRIMARY KEY, title text);"
 "CREATE TRIGGER t AFTER UPDATE ON books BEGIN UPDATE books SET sort = title_sort(NEW.title) WHERE id = NEW.id AND OLD.title <> NEW.title; END;"
 "INSERT INTO books VALUES (1, 'a', '', 0); INSERT INTO items VALUES (1, 'a'); CREATE INDEX i ON items (title COLLATE icu_root);")
PY
batchops backfill books --all-rows --set "seen = 1" --allow triggers --url "$LITE" -y; echo "  exit $?"
batchops purge items --where "id = 1" --url "$LITE" -y; echo "  exit $?"
