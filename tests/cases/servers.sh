# Each case reads this first. It says where the servers are, and gives the case a folder and databases of its own.
#
# PostgreSQL by PGHOST, PGPORT, PGUSER and PGPASSWORD; MariaDB by MARIADB_OPTIONS (words for its client) and MYSQL_URL
# (without a database, for batchops); RabbitMQ by AMQP_URL. Without them: the servers of this host, as postgres, root
# without a password, and guest. CASE_DATABASE is the name of the databases.
set -u
export PGHOST=${PGHOST:-127.0.0.1} PGUSER=${PGUSER:-postgres} PGDATABASE=postgres
export AMQP_URL=${AMQP_URL:-amqp://guest:guest@127.0.0.1/%2F}
MARIADB_OPTIONS=${MARIADB_OPTIONS:---host=127.0.0.1 --user=root}
DB=${CASE_DATABASE:-batchops_case_$$}
W=$(mktemp -d) && cd "$W" || exit 1
PG=postgresql:///$DB MY=env:CASE_MYSQL LITE=sqlite:///$W/case.db # what batchops gets as --url
export CASE_MYSQL=${MYSQL_URL:-mysql://root@127.0.0.1}/$DB       # not a word of a command line: it holds a password
made=

P() { psql -qXAt -d "$DB" "$@"; }
Q() { mariadb $MARIADB_OPTIONS --skip-column-names -D "$DB" "$@"; }
L() { sqlite3 "$W/case.db" "$@"; }

new_postgresql() { psql -qX -c "CREATE DATABASE $DB" && made="$made postgresql"; }
new_mariadb() { mariadb $MARIADB_OPTIONS -e "CREATE DATABASE $DB" && made="$made mariadb"; }

drop() {
  for server in $made; do
    case $server in
      postgresql) psql -qX -c "DROP DATABASE $DB WITH (FORCE)" ;;
      mariadb) mariadb $MARIADB_OPTIONS -e "DROP DATABASE $DB" ;;
    esac
  done
  cd / && rm -rf "$W"
}
trap drop EXIT
