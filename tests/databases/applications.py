"""Tables of well-known applications with made-up rows, the clean-up that their operators run, and one backfill each."""
# ruff: noqa: E501  DDL and conditions are read more easily in one line

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bulk.plan.situations import NUMBERS
from tests.services.database import Database

ROWS = 3_000
TYPES: Mapping[str, Mapping[str, str]] = {
    "postgresql": {
        "serial": "bigserial PRIMARY KEY", "time": "timestamptz", "json": "jsonb", "bool": "boolean", "blob": "bytea",
        "text": "text", "true": "true", "false": "false", "at": "timestamptz ",
    },
    "mysql": {
        "serial": "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY", "time": "datetime", "json": "longtext", "bool": "tinyint(1)",
        "blob": "varbinary(20)", "text": "longtext", "true": "1", "false": "0", "at": "",
    },
    "sqlite": {
        "serial": "integer PRIMARY KEY", "time": "datetime", "json": "text", "bool": "integer", "blob": "blob",
        "text": "text", "true": "1", "false": "0", "at": "",
    },
}  # fmt: skip
"""How each database spells what the DDL below leaves open as {name}."""


@dataclass(frozen=True)
class Application:
    """`tables`: DDL; `rows`: what is inserted, as `table (columns) SELECT … ` over i from 1 to ROWS."""

    tables: tuple[str, ...]
    rows: tuple[str, ...]
    table: str
    purge: str
    """The condition of the clean-up."""
    backfill: str
    """`column = value`"""
    which: str
    """The backfill's condition."""
    options: Mapping[str, object] = field(default_factory=dict)
    families: tuple[str, ...] = ("postgresql", "mariadb", "sqlite")

    def make(self, database: Database) -> None:
        """Tables and rows."""
        types = TYPES[database.backend]
        for ddl in self.tables:
            database.execute(ddl.format(**types))
        for rows in self.rows:
            database.execute(f"INSERT INTO {rows.format(**types)} FROM ({NUMBERS[database.backend].format(ROWS)}) AS n")

    def said(self, database: Database, text: str) -> str:
        """A condition or value in this database's spelling."""
        return text.format(**TYPES[database.backend])


MATOMO = Application(
    tables=(
        "CREATE TABLE log_visit (idvisit {serial}, idsite integer NOT NULL, idvisitor {blob} NOT NULL,"
        " visit_last_action_time {time} NOT NULL, visit_total_actions integer)",
        "CREATE INDEX log_visit_time ON log_visit (idsite, visit_last_action_time)",
    ),
    rows=(
        "log_visit (idsite, idvisitor, visit_last_action_time, visit_total_actions)"
        " SELECT i % 3, 'visitor', CASE WHEN i % 2 = 0 THEN {at}'2023-05-01 10:00:00' ELSE {at}'2026-05-01 10:00:00' END, i % 9",
    ),
    table="log_visit",
    purge="idsite = 1 AND visit_last_action_time < '2024-01-01'",
    backfill="visit_total_actions = coalesce(visit_total_actions, 0) + 1",
    which="idsite <> 1",
)
WORDPRESS = Application(
    tables=(
        "CREATE TABLE wp_posts (id {serial}, post_type varchar(20) NOT NULL)",
        "CREATE TABLE wp_postmeta (meta_id {serial}, post_id bigint NOT NULL, meta_key varchar(255), meta_value {text})",
        "CREATE INDEX post_id ON wp_postmeta (post_id)",
    ),
    rows=(
        "wp_posts (id, post_type) SELECT i * 2, CASE WHEN i % 5 = 0 THEN 'revision' ELSE 'post' END",
        "wp_postmeta (post_id, meta_key, meta_value) SELECT i, CASE WHEN i % 7 = 0 THEN '_edit_lock' ELSE '_thumb%x' END, ''",
    ),
    table="wp_postmeta",
    purge="NOT EXISTS (SELECT 1 FROM wp_posts WHERE wp_posts.id = wp_postmeta.post_id)",
    backfill="meta_value = 'x'",
    which="meta_key LIKE '|_thumb|%%' ESCAPE '|'",
)
MEDIAWIKI = Application(
    tables=(
        "CREATE TABLE recentchanges (rc_id {serial}, rc_timestamp varchar(14) NOT NULL, rc_patrolled smallint NOT NULL,"
        " rc_title {text})",
        "CREATE INDEX rc_timestamp ON recentchanges (rc_timestamp)",
    ),
    rows=(
        "recentchanges (rc_timestamp, rc_patrolled, rc_title)"
        " SELECT CASE WHEN i % 3 = 0 THEN '20230101000000' ELSE '20260101000000' END, i % 2, 'Größe'",
    ),
    table="recentchanges",
    purge="rc_timestamp < '20240101000000'",
    backfill="rc_patrolled = 2",
    which="rc_patrolled = 1 AND rc_title = 'Größe'",
)
MAGENTO = Application(
    tables=(
        "CREATE TABLE quote (entity_id {serial}, is_active smallint NOT NULL, updated_at {time} NOT NULL)",
        "CREATE TABLE quote_item (item_id {serial}, quote_id bigint NOT NULL,"
        " FOREIGN KEY (quote_id) REFERENCES quote (entity_id) ON DELETE CASCADE)",
        "CREATE INDEX quote_item_quote ON quote_item (quote_id)",
    ),
    rows=(
        "quote (entity_id, is_active, updated_at)"
        " SELECT i, i % 2, CASE WHEN i % 3 = 0 THEN {at}'2023-05-01' ELSE {at}'2026-05-01' END",
        "quote_item (quote_id) SELECT i",
    ),
    table="quote",
    purge="is_active = 0 AND updated_at < '2024-01-01'",
    backfill="is_active = 1 - is_active",
    which="updated_at > '2024-01-01'",
    options={"allow": ["cascades"]},
)
DJANGO = Application(
    tables=(
        "CREATE TABLE django_session (session_key varchar(40) NOT NULL PRIMARY KEY, session_data {text} NOT NULL,"
        " expire_date {time} NOT NULL)",
        "CREATE INDEX django_session_expire ON django_session (expire_date)",
    ),
    rows=(
        "django_session (session_key, session_data, expire_date) SELECT 'k' || i, 'e30:', CASE WHEN i % 2 = 0 THEN"
        " {at}'2023-05-01 10:00:00' ELSE {at}'2099-05-01 10:00:00' END",
    ),
    table="django_session",
    purge="expire_date < '2024-01-01 00:00:00'",
    backfill="session_data = 'x'",
    which="session_key LIKE 'k1%'",
    families=("postgresql", "sqlite"),
)
RAILS = Application(
    tables=(
        "CREATE TABLE active_storage_blobs (id {serial}, filename varchar(255) NOT NULL, byte_size bigint NOT NULL,"
        " created_at {time} NOT NULL)",
        "CREATE TABLE active_storage_attachments (id {serial}, blob_id bigint NOT NULL,"
        " FOREIGN KEY (blob_id) REFERENCES active_storage_blobs (id))",
        "CREATE INDEX attachments_blob ON active_storage_attachments (blob_id)",
    ),
    rows=(
        "active_storage_blobs (id, filename, byte_size, created_at) SELECT i, 'a.png', i * 7, '2023-05-01 10:00:00'",
        "active_storage_attachments (blob_id) SELECT i - (i - 1) % 3",
    ),
    table="active_storage_blobs",
    purge="created_at < '2024-01-01' AND id NOT IN (SELECT blob_id FROM active_storage_attachments)",
    backfill="byte_size = byte_size - (SELECT min(byte_size) FROM active_storage_blobs)",
    which="id > 5",
)
KEYCLOAK = Application(
    tables=(
        "CREATE TABLE event_entity (id varchar(36) NOT NULL PRIMARY KEY, realm_id varchar(255), event_time bigint,"
        " type varchar(255), details_json {text})",
        "CREATE INDEX idx_event_time ON event_entity (realm_id, event_time)",
    ),
    rows=(
        "event_entity (id, realm_id, event_time, type) SELECT substr('00000000-0000-4000-8000-', 1, 24) || i, 'r',"
        " CASE WHEN i % 4 = 0 THEN 1683000000000 ELSE 4092000000000 END, CASE WHEN i % 2 = 0 THEN 'LOGIN' END",
    ),
    table="event_entity",
    purge="realm_id = 'r' AND event_time < 1700000000000",
    backfill="type = 'LOGOUT'",
    which="type IS NULL",
    families=("postgresql", "sqlite"),
)
ZABBIX = Application(
    tables=(
        "CREATE TABLE history_uint (itemid bigint NOT NULL, clock integer NOT NULL, value bigint NOT NULL,"
        " ns integer NOT NULL, PRIMARY KEY (itemid, clock, ns))",
    ),
    rows=("history_uint (itemid, clock, value, ns) SELECT i % 10, 1683000000 + i, i, 0",),
    table="history_uint",
    purge="itemid IN (1, 3, 5) AND clock < 1683002000",
    backfill="value = value * 2",
    which="itemid = 7",
)
MOODLE = Application(
    tables=(
        "CREATE TABLE mdl_logstore (id {serial}, eventname varchar(255) NOT NULL, userid bigint NOT NULL,"
        " timecreated bigint NOT NULL, other {text}, anonymous smallint NOT NULL DEFAULT 0)",
        "CREATE INDEX mdl_logstore_tim ON mdl_logstore (timecreated)",
    ),
    rows=(
        "mdl_logstore (eventname, userid, timecreated, other) SELECT '\\core\\event', i % 50,"
        " CASE WHEN i % 2 = 0 THEN 1683000000 ELSE 4092000000 END, 'N;'",
    ),
    table="mdl_logstore",
    purge="timecreated < 1700000000 AND userid <> 0",
    backfill="anonymous = 1",
    which="userid BETWEEN 10 AND 20",
    families=("postgresql", "sqlite"),
)
N8N = Application(
    tables=(
        'CREATE TABLE execution_entity (id {serial}, status varchar(20) NOT NULL, "stoppedAt" {time}, finished {bool})',
        "CREATE TABLE execution_data (executionid bigint NOT NULL PRIMARY KEY, data {text},"
        " FOREIGN KEY (executionid) REFERENCES execution_entity (id) ON DELETE CASCADE)",
    ),
    rows=(
        "execution_entity (id, status, \"stoppedAt\", finished) SELECT i, CASE WHEN i % 3 = 0 THEN 'success' ELSE"
        " 'error' END, '2023-05-01 10:00:00', {true}",
        "execution_data (executionid, data) SELECT i, '[]'",
    ),
    table="execution_entity",
    purge="status IN ('success', 'crashed') AND \"stoppedAt\" < '2024-01-01'",
    backfill="finished = {false}",
    which="status = 'error' AND finished = {true}",
    options={"allow": ["cascades"]},
    families=("postgresql", "sqlite"),
)
OBAN = Application(
    tables=(
        "CREATE TYPE oban_job_state AS ENUM ('available', 'executing', 'completed', 'discarded', 'cancelled')",
        "CREATE TABLE oban_jobs (id {serial}, state oban_job_state NOT NULL, queue text NOT NULL, args jsonb NOT NULL,"
        " errors jsonb[] NOT NULL DEFAULT '{{}}', tags text[] NOT NULL DEFAULT '{{}}', completed_at timestamp)",
        "CREATE INDEX oban_jobs_state ON oban_jobs (state, queue, id)",
    ),
    rows=(
        "oban_jobs (state, queue, args, tags, completed_at) SELECT (CASE WHEN i % 4 = 0 THEN 'completed' ELSE 'available'"
        " END)::oban_job_state, 'default', jsonb_build_object('id', i, 'at', '10:30:00'), ARRAY['a', 'b'], '2023-05-01'",
    ),
    table="oban_jobs",
    purge="state IN ('completed', 'cancelled', 'discarded') AND completed_at < '2024-01-01' AND args @> '{{\"at\": \"10:30:00\"}}'",
    backfill="tags = array_append(tags, 'x'::text)",
    which="args ->> 'id' LIKE '%7' AND 'a' = ANY (tags)",
    families=("postgresql",),
)
GITLAB = Application(
    tables=(
        "CREATE TABLE web_hook_logs (id bigint NOT NULL, created_at timestamp NOT NULL, url text, internal_error_message"
        " text, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at)",
        "CREATE TABLE web_hook_logs_202305 PARTITION OF web_hook_logs FOR VALUES FROM ('2023-05-01') TO ('2023-06-01')",
        "CREATE TABLE web_hook_logs_202605 PARTITION OF web_hook_logs FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')",
    ),
    rows=(
        "web_hook_logs (id, created_at, url) SELECT i, CASE WHEN i % 2 = 0 THEN timestamp '2023-05-03' ELSE '2026-05-03'"
        " END, 'https://example.org/' || i",
    ),
    table="web_hook_logs",
    purge="created_at < '2024-01-01' AND url ~ '[02468]$'",
    backfill="internal_error_message = format('%s %%', url)",
    which="id % 3 = 0",
    families=("postgresql",),
)
LARAVEL = Application(
    tables=(
        "CREATE TABLE failed_jobs (id {serial}, uuid varchar(36) NOT NULL UNIQUE, queue varchar(99) NOT NULL,"
        " exception {text}, failed_at timestamp NOT NULL DEFAULT current_timestamp)",
        "CREATE TABLE users (id {serial}, email varchar(255) NOT NULL, remember_token varchar(100))",
    ),
    rows=(
        "failed_jobs (uuid, queue, exception, failed_at) SELECT concat('u', i), 'default', 'a:b?', '2023-05-01 10:00:00'",
        "users (email) SELECT concat('User', i, '@Example.org')",
    ),
    table="failed_jobs",
    purge="failed_at < '2024-01-01' AND id % 3 = 1",
    backfill="queue = lower(concat(queue, ':', id))",
    which="exception LIKE '%?'",
    families=("mariadb",),
)
APPLICATIONS: Mapping[str, Application] = {
    "Matomo": MATOMO, "WordPress": WORDPRESS, "MediaWiki": MEDIAWIKI, "Magento": MAGENTO, "Django": DJANGO,
    "Rails": RAILS, "Keycloak": KEYCLOAK, "Zabbix": ZABBIX, "Moodle": MOODLE, "n8n": N8N, "Oban": OBAN,
    "GitLab": GITLAB, "Laravel": LARAVEL,
}  # fmt: skip
