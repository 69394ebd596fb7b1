#!/bin/bash
# Three small ones.
# a) cron = "@daily" (crontab(5), robfig/cron, gocron) and "@every 20s" were refused without saying what to write instead.
#    Expected: the six names mapped to their five fields; for @every the hint `every = "20s"`.
# b) Over HTTP every event whose event_type is not ASCII was refused for good, as it always goes in a header too.
#    Expected: such a value percent-encoded, as the CloudEvents binding does, or left out where the body has it.
# c) relay --dry-run showed the plan only, though its help says "the plan, the SQL and EXPLAIN".
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
echo "--- a"
for cron in "@daily" "@hourly" "@every 20s"; do
  printf '[job.one]\nverb = "purge"\ntable = "t"\nwhere = "true"\ncron = "%s"\n' "$cron" > times.toml
  batchops recipe check times.toml 2>&1; echo "exit $?"
done
echo "--- b"
P -c "create table outbox(id bigserial primary key, aggregate_type text, aggregate_id text, event_type text, payload jsonb, sent_at timestamptz)" \
  -c "insert into outbox(aggregate_type, aggregate_id, event_type, payload) values ('order', '1', 'BestellungGeändert', '{}'), ('order', '2', 'OrderChanged', '{}')"
cat > server.py <<'S'
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        with open("types", "a") as file:
            print("received:", self.headers["ce-type"] or self.headers["event_type"], file=file)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open("port.new", "w") as file:
    file.write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
S
python3 server.py & server=$!
until [ -e port ]; do sleep 0.05; done
batchops relay outbox --to "http://127.0.0.1:$(cat port)/" -y 2>&1; echo "exit $?"
kill $server; sort types
echo "--- c"
P -c "update outbox set sent_at = null"
batchops relay outbox --to file:out.jsonl --dry-run | grep -oE '^  (read SQL|mark SQL|explain) +[A-Za-z]+'
