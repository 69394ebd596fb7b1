"""The tables that the shipped recipes are about, with rows to change and rows to leave alone."""

from dataclasses import dataclass, field
from typing import Any

OLD, NEW = "2001-01-01 00:00:00", "2037-01-01 00:00:00"

TABLES = {
    "sessions": "id integer PRIMARY KEY, expires_at timestamp NULL",
    "orders": "id integer PRIMARY KEY, deleted_at timestamp NULL",
    "order_items": "id integer PRIMARY KEY, order_id integer, FOREIGN KEY (order_id) REFERENCES orders (id)",
    "audit_log": "id integer PRIMARY KEY, created_at timestamp NULL, legal_hold boolean NOT NULL",
    "posts": "id integer PRIMARY KEY, comment_count integer NOT NULL",
    "attachments": "id integer PRIMARY KEY, post_id integer, created_at timestamp NULL",
    "comments": "id integer PRIMARY KEY, post_id integer",
    "users": "id integer PRIMARY KEY, email varchar(100), email_normalized varchar(100), full_name varchar(100), "
    "last_seen_at timestamp NULL, anonymized_at timestamp NULL",
    "documents": "id integer PRIMARY KEY, body varchar(100), body_hash char(64)",
    "jobs": "id integer PRIMARY KEY, status varchar(10), finished_at timestamp NULL",
    "outbox": "id integer PRIMARY KEY, payload varchar(100), created_at timestamp NULL, sent_at timestamp NULL",
    "order_queue": "id integer PRIMARY KEY, status varchar(10), price integer, amount integer, total integer",
    "tenants": "id integer PRIMARY KEY",
    "projects": "id integer PRIMARY KEY, tenant_id integer, FOREIGN KEY (tenant_id) REFERENCES tenants (id)",
    "tasks": "id integer PRIMARY KEY, tenant_id integer, project_id integer, "
    "FOREIGN KEY (project_id) REFERENCES projects (id)",
}
"""In the order in which they can be made."""
INDEXES = {
    "sessions": "expires_at", "orders": "deleted_at", "order_items": "order_id", "audit_log": "created_at",
    "comments": "post_id", "projects": "tenant_id", "tasks": "project_id",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One recipe: what stands there before, what must stand there afterwards, and what it is given."""

    before: dict[str, str]
    """Rows by table, as SQL writes them."""
    query: str
    after: list[tuple[Any, ...]]
    params: dict[str, str] = field(default_factory=dict)


_HASH = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
_ORDERS = {"orders": f"(1, '{OLD}'), (2, NULL), (3, '{NEW}')", "order_items": "(1, 1), (2, 1), (3, 2), (4, 3)"}

CASES = {
    "expired-sessions": Case(
        {"sessions": f"(1, '{OLD}'), (2, '{NEW}'), (3, NULL)"}, "SELECT id FROM sessions", [(2,), (3,)]
    ),
    "soft-deleted-rows": Case(
        _ORDERS, "SELECT o.id, i.id FROM orders o JOIN order_items i ON i.order_id = o.id", [(2, 3), (3, 4)]
    ),
    "audit-log": Case(
        {"audit_log": f"(1, '{OLD}', false), (2, '{OLD}', true), (3, '{NEW}', false)"},
        "SELECT id FROM audit_log", [(2,), (3,)], {"before": "2020-01-01", "window": "00:00-23:59:59.999999"},
    ),
    "orphans": Case(
        {
            "posts": "(1, 0)",
            "attachments": f"(1, 1, '{OLD}'), (2, 7, '{OLD}'), (3, NULL, '{OLD}'), (4, 8, '{NEW}')",
        },
        "SELECT id FROM attachments", [(1,), (3,), (4,)],
    ),
    "normalize-email": Case(
        {"users": "(1, ' Ann@Example.Org ', NULL, NULL, NULL, NULL), (2, NULL, NULL, NULL, NULL, NULL), "
                  "(3, 'B@x.org', 'kept', NULL, NULL, NULL)"},
        "SELECT id, email_normalized FROM users", [(1, "ann@example.org"), (2, None), (3, "kept")],
    ),
    "comment-counter": Case(
        {"posts": "(1, 5), (2, 0), (3, 1)", "comments": "(1, 1), (2, 1), (3, 3)"},
        "SELECT id, comment_count FROM posts", [(1, 2), (2, 0), (3, 1)],
    ),
    "hash-column-postgresql": Case(
        {"documents": "(1, 'abc', NULL), (2, NULL, NULL), (3, 'x', 'kept')"},
        "SELECT id, trim(body_hash) FROM documents", [(1, _HASH), (2, None), (3, "kept")],
    ),
    "hash-column-mariadb": Case(
        {"documents": "(1, 'abc', NULL), (2, NULL, NULL), (3, 'x', 'kept')"},
        "SELECT id, body_hash FROM documents", [(1, _HASH), (2, None), (3, "kept")],
    ),
    "queue-cleanup": Case(
        {"jobs": f"(1, 'done', '{OLD}'), (2, 'failed', '{OLD}'), (3, 'done', '{NEW}'), (4, 'pending', NULL)"},
        "SELECT id FROM jobs", [(3,), (4,)],
    ),
    "outbox-retention": Case(
        {"outbox": f"(1, 'a', '{OLD}', '{OLD}'), (2, 'b', '{OLD}', NULL), (3, 'c', '{OLD}', '{NEW}')"},
        "SELECT id FROM outbox", [(2,), (3,)],
    ),
    "ci-database-cleanup": Case(
        _ORDERS | {"users": "(1, 'a', NULL, NULL, NULL, NULL)", "sessions": "(1, NULL)"},
        "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM users), id FROM sessions", [(0, 1)],
    ),
    "order-totals-queue": Case(
        {"order_queue": "(1, 'pending', 3, 4, NULL), (2, 'done', 1, 1, 7)"},
        "SELECT id, status, total FROM order_queue", [(1, "done", 12), (2, "done", 7)],
    ),
    "tenant-offboarding": Case(
        {"tenants": "(1), (2)", "projects": "(1, 1), (2, 2)", "tasks": "(1, 1, 1), (2, 1, 1), (3, 2, 2)"},
        "SELECT t.id, p.id, k.id FROM tenants t JOIN projects p ON p.tenant_id = t.id "
        "JOIN tasks k ON k.project_id = p.id", [(2, 2, 3)], {"tenant": "1"},
    ),
    "anonymize-users": Case(
        {"users": f"(1, 'ann@x.org', NULL, 'Ann', '{OLD}', NULL), (2, 'bob@x.org', NULL, 'Bob', '{NEW}', NULL), "
                  f"(3, 'c', NULL, 'C', '{OLD}', '{OLD}')"},
        "SELECT id, email, full_name, anonymized_at IS NULL FROM users",
        [(1, "user-1@example.invalid", None, 0), (2, "bob@x.org", "Bob", 1), (3, "c", "C", 0)],
    ),
}  # fmt: skip


def statements(case: Case) -> list[str]:
    """What makes the tables that the case has rows for, and the rows."""
    made = []
    for table, columns in TABLES.items():
        if table in case.before:
            made.append(f"CREATE TABLE {table} ({columns})")
            if table in INDEXES:
                made.append(f"CREATE INDEX {table}_followed ON {table} ({INDEXES[table]})")
            made.append(f"INSERT INTO {table} VALUES {case.before[table]}")
    return made
