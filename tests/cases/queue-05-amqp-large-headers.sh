#!/bin/bash
# One event whose headers make more than a frame (128 KiB) ends the connection to RabbitMQ (501 frame_too_large). The
# relay takes that for "the destination is down": no attempt is counted, nothing behind the event is ever delivered, the
# one before it again and again; without --poll exit 75, with it for ever.
# Reports: rebus-org/Rebus.RabbitMq#82, Particular/NServiceBus.RabbitMQ#102 and NServiceBus#3023 (endpoint stopped by it).
# Expected: that event refused with its reason, as NATS does (its 64 KiB of headers), the other 4 delivered once, exit 3.
# Needs: RabbitMQ at 127.0.0.1 guest/guest, pika.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P <<'S'
create table outbox(id bigserial primary key, aggregate_type text, aggregate_id text, event_type text, payload text, headers jsonb, sent_at timestamptz);
insert into outbox(aggregate_type, aggregate_id, event_type, payload) select 'order', i::text, 'E', 'payload ' || i from generate_series(1, 5) i;
update outbox set headers = jsonb_build_object('stacktrace', repeat('x', 200000)) where id = 2;
S
cat > broker.py <<'S'
import os, sys, pika
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
if sys.argv[1] == "make":
    channel.queue_declare(sys.argv[2], durable=True)
else:
    got = []
    while (message := channel.basic_get(sys.argv[2], auto_ack=True))[0] is not None:
        got.append(message[1].message_id)
    print("in the queue:", got)
    channel.queue_delete(sys.argv[2])
S
python3 broker.py make "$DB"
batchops relay outbox --to env:AMQP_URL --topic "$DB" --backoff 200ms --max-attempts 2 --on-failed dead-letter --retry-timeout 4s -y 2>&1
echo "exit $?, unsent: $(P -c 'select count(*) from outbox where sent_at is null'), attempts counted: $(P -c 'select count(*) from batchops_failed')"
python3 broker.py read "$DB"
