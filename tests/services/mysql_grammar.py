"""MySQL 8's own grammar, as Oracle publishes it for MySQL Workbench: the npm package ts-mysql-parser, run by Node.

BATCHOPS_TEST_MYSQL_GRAMMAR names a folder with its node_modules; else npm installs it once, into the user's cache.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_cache_path

from tests.services.server import Missing

NAME = "mysql-grammar"
_VARIABLE = "BATCHOPS_TEST_MYSQL_GRAMMAR"
# What the first asks for has been published since with another layout.
_PACKAGES = ("ts-mysql-parser@0.2.0", "antlr4ts@0.5.0-alpha.3")
_PROGRAM = """
const Parser = require("ts-mysql-parser").default;
const parser = new Parser({version: "8.0.36", mode: 0});
const wrong = (sql) => {
  const {lexerError, parserError} = parser.parse(sql);
  return (lexerError || parserError || {message: null}).message;
};
const statements = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(statements.map(wrong)));
"""
_LITERALS = re.compile(r"'(?:[^'\\]|''|\\.)*'|\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b")
_TYPED = re.compile(r"\b(?:TIMESTAMP|DATE|TIME)\s*(?=')")
_LISTS = re.compile(r"\(\s*(?:'x'|7|NULL)(?:,\s*(?:'x'|7|NULL))+\s*\)")


def find() -> Path | Missing:
    """The folder of node_modules, or why there is none."""
    if shutil.which("node") is None:
        return Missing(NAME, "no node on PATH")
    if named := os.environ.get(_VARIABLE):
        return Path(named)
    if (npm := shutil.which("npm")) is None:
        return Missing(NAME, f"no npm on PATH, and no {_VARIABLE}")
    folder = user_cache_path("batchops-tests") / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # another worker may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "node_modules" / "ts-mysql-parser").is_dir() or _installed(npm, folder):
            return folder
    return Missing(NAME, f"npm could not install {_PACKAGES[0]}")


def _installed(npm: str, folder: Path) -> bool:
    quietly = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000")
    try:
        done = subprocess.run([npm, "install", *quietly, *_PACKAGES], cwd=folder, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def shapes(statements: Iterable[str]) -> list[str]:
    """Statements that differ in more than their values."""
    seen: dict[str, str] = {}
    for statement in statements:
        plain = _LITERALS.sub(lambda found: "'x'" if found[0][0] == "'" else "7", statement)
        seen.setdefault(_LISTS.sub("(7, 7)", plain), statement)
    return list(seen.values())


def refused(folder: Path, statements: Iterable[str]) -> dict[str, str]:
    """What the grammar says of those statements that are none."""
    asked = list(statements)
    argv, given = ["node", "-e", _PROGRAM], json.dumps([_readable(sql) for sql in asked])
    done = subprocess.run(argv, cwd=folder, input=given, capture_output=True, text=True, check=True)
    return {sql: error for sql, error in zip(asked, json.loads(done.stdout), strict=True) if error is not None}


def _readable(sql: str) -> str:
    """Without two forms that MySQL's manual has and the package does not read: see "Date and Time Literals"."""
    return _TYPED.sub("", sql).replace("``", "_")
