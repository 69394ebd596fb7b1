#!/bin/bash
# A reason for failure that the column cannot hold ended the drain: a NUL (PostgreSQL), half a surrogate pair (all three),
# more than 500 characters returned as a result (MariaDB). The reason was not recorded, the rows stayed leased, and what the
# handler did for the other rows of the batch was done once more.
# Reports: fazer-ai/agents#243, firecrawl/firecrawl#4113, collectiveidea/delayed_job#799, celery/django-celery-results#82.
# Expected: the text made storable (NUL and surrogates replaced, cut to fit); row 3 failed with it, rows 1 2 4 5 done once.
# Both drains end in 0: the failed row waits for its next attempt.
. "$(dirname "$0")/servers.sh"
new_postgresql
new_mariadb
cat > work.py <<'S'
def answer(rows, text):
    with open("mails.log", "a") as log:
        log.writelines(f"mail {row['id']}\n" for row in rows)
    return [text if row["id"] == 3 else None for row in rows]
def nul(rows): return answer(rows, "HTTP 500: <html>\0</html>")
def surrogate(rows): return answer(rows, b"name \xff".decode(errors="surrogateescape"))
def long(rows): return answer(rows, "x" * 501)
S
cat > nul.sh <<'S'
#!/bin/sh
cat > row; printf 'tool said \000 and died' >&2; grep -q '"id": *3\b' row && exit 7; exit 0
S
chmod +x nul.sh
TABLE="drop table if exists jobs; create table jobs(id int primary key, status varchar(9) not null default 'new'); insert into jobs(id) values (1),(2),(3),(4),(5)"
STATES="select id, status, failure from jobs order by id"
try() { # the title, the URL, handler flags
  rm -f mails.log
  case $1 in Postgre*) P -c "$TABLE" 2>/dev/null ;; *) Q -e "$TABLE" ;; esac
  batchops queue init jobs --apply --url "$2" >/dev/null
  echo "--- $1 $3 $4"
  for _ in 1 2; do
    batchops drain jobs --url "$2" --where "status = 'new'" --done "status = 'done'" "$3" "$4" --backoff 1h -y 2>&1; echo "exit $?"
  done
  [ -f mails.log ] && sort mails.log | uniq -c | tr -s ' \n' ' ' && echo
  case $1 in Postgre*) P -F ' ' -c "$STATES" ;; *) Q -e "$STATES" | tr '\t' ' ' ;; esac | cat -v
}
try PostgreSQL "$PG" --call work:nul
try PostgreSQL "$PG" --call work:surrogate
try MariaDB "$MY" --call work:surrogate
try MariaDB "$MY" --call work:long
try PostgreSQL "$PG" --exec ./nul.sh
