#!/bin/bash
# The outboxes of the usual frameworks could not be relayed: their id is a UUID or a text, order is told by a time, by the
# id's own order, or not at all; some have no aggregate. All were refused with 12 (and a hint: add a numbered, unique column).
# Shapes: Debezium's outbox, Spring Modulith's event_publication, Eventuate Tram's message (ids that sort by time),
# namastack's outbox_record, Wolverine's wolverine_outgoing_envelopes.  Report: headsnet/domain-events-bundle#16.
# Expected: --id or --order with a time or a sortable text where the person says so (ties told of), and a relay without
# order (each event by itself) for tables that promise none, with a warning instead of a refusal.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P <<'S'
create table debezium(id uuid primary key default gen_random_uuid(), aggregatetype varchar(255) not null, aggregateid varchar(255) not null, type varchar(255) not null, payload jsonb);
create table event_publication(id uuid primary key, listener_id text not null, event_type text not null, serialized_event text not null, publication_date timestamptz not null, completion_date timestamptz);
create table message(id varchar(255) primary key, destination text not null, headers text not null, payload text not null, published smallint default 0, message_partition smallint, creation_time bigint);
create table wolverine(id uuid primary key, owner_id int not null, destination varchar not null, deliver_by timestamptz, body bytea not null, attempts int default 0, message_type varchar not null);
create table outbox_record(id varchar(255) primary key, status varchar(20) not null, record_key varchar(255) not null, record_type varchar(255) not null, payload text not null, created_at timestamptz not null, completed_at timestamptz, partition_no int not null);
insert into debezium(aggregatetype, aggregateid, type, payload) values ('order', '1', 'made', '{}'), ('order', '1', 'paid', '{}');
insert into event_publication values (gen_random_uuid(), 'a', 'made', '{}', now() - interval '1 min', null), (gen_random_uuid(), 'a', 'paid', '{}', now(), null);
insert into message values ('0000018f-0001', 'orders', '{}', 'made', 0), ('0000018f-0002', 'orders', '{}', 'paid', 0);
insert into wolverine values (gen_random_uuid(), 0, 'orders', null, 'made', 0, 'made'), (gen_random_uuid(), 0, 'orders', null, 'paid', 0, 'paid');
insert into outbox_record values ('x1', 'NEW', 'a', 'order', 'made', now() - interval '1 min', null, 0), ('x0', 'NEW', 'a', 'order', 'paid', now(), null, 0);
S
relay() { echo "--- $*"; batchops relay "$@" --to file:out.jsonl -y 2>&1; echo "exit $?"; }
relay debezium --after-delivery delete
relay event_publication --aggregate-id listener_id --payload serialized_event --sent completion_date --id publication_date
relay message --aggregate-id destination --id id
relay wolverine --aggregate-id destination --payload body --after-delivery delete
relay outbox_record --aggregate-id record_key --sent completed_at --order created_at,id
echo "events delivered: $(wc -l < out.jsonl) of 10"
