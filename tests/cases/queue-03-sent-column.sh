#!/bin/bash
# relay took a column that says in words whether an event was sent (status 'PENDING', sent 'N', an ENUM) for a time:
# unsent was then "IS NULL", which no row is, and it ended with "done, nothing to do", exit 0. Nothing was ever delivered.
# A column of epoch milliseconds was taken for a flag: 1 was written into it.
# Shapes: CAP's published."StatusName", ktenman/core-banking's outbox_message.status, char(1)/ENUM flags, published_at bigint.
# Expected: such a column refused with exit 12 (and a way to say which value means unsent, which sent); for a number that
# is no 0 or 1, the same, or the time. Once that is said, the events are delivered.
. "$(dirname "$0")/servers.sh"
new_postgresql
P <<'S'
create table by_word(id bigserial primary key, aggregate_id text, payload text, status varchar(20) not null default 'PENDING');
create table by_letter(id bigserial primary key, aggregate_id text, payload text, sent char(1) not null default 'N');
create table by_epoch(id bigserial primary key, aggregate_id text, payload text, published_at bigint);
insert into by_word(aggregate_id, payload) values ('1', 'a'), ('2', 'b');
insert into by_letter(aggregate_id, payload) values ('1', 'a'), ('2', 'b');
insert into by_epoch(aggregate_id, payload, published_at) values ('1', 'a', null), ('2', 'b', 1700000000000);
S
new_mariadb
Q -e "create table by_enum(id bigint auto_increment primary key, aggregate_id varchar(9), payload varchar(9), sent enum('Y','N') not null default 'N'); insert into by_enum(aggregate_id, payload) values ('1','a')"
relay() { # the URL, the table and more
  url=$1; shift
  echo "--- relay $*"; batchops relay "$@" --url "$url" --to file:out.jsonl -y 2>&1; echo "exit $?"
}
relay "$PG" by_word --sent status
relay "$PG" by_letter
relay "$PG" by_epoch --sent published_at
relay "$MY" by_enum
echo "events delivered: $(cat out.jsonl 2>/dev/null | wc -l); published_at now: $(P -c 'select id, published_at from by_epoch order by id' | tr '\n' ' ')"
relay "$PG" by_word --sent status --unsent-value PENDING --sent-value SENT
relay "$PG" by_letter --unsent-value N --sent-value Y
relay "$PG" by_epoch --sent published_at --sent-as milliseconds
relay "$MY" by_enum --unsent-value N --sent-value Y
echo "events delivered: $(wc -l < out.jsonl); status: $(P -c 'select distinct status from by_word'), sent: $(P -c 'select distinct sent from by_letter'), $(Q -e 'select distinct sent from by_enum')," \
  "published_at: $(P -c "select count(*) from by_epoch where published_at > 1700000000000 or id = 2") of 2"
