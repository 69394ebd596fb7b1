"""Real servers for the tests: each is found or started, or the reason why not is told.

A service is one small file with `find()`. The ways are tried in this order:

1. `BATCHOPS_TEST_POSTGRES_URL`, `BATCHOPS_TEST_MARIADB_URL` (may be a MySQL): an administrator's URL.
2. testcontainers, if a Docker engine answers at once.
3. a private server from binaries found here, in a temporary folder, stopped by its pid at the end.
   `BATCHOPS_TEST_POSTGRES_BIN` names the folder of another PostgreSQL, or `embedded` for the wheel.

What is missing is skipped; `BATCHOPS_TEST_REQUIRE=all` (or a list: `postgresql,mariadb`) makes it fail.
"""
