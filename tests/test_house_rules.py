"""The house rules that no linter holds: sizes, names, docstrings, who may ask which database this is."""

import ast
import gc
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

from batchops.bulk.strategies import STRATEGIES
from batchops.verbs import VERBS

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "batchops").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION = 300, 40
THE_LOOP = {"batchops/runtime/loop.py:run"}
SKIPS = {"skip", "skipif", "xfail", "importorskip"}
NAMELESS = re.compile(r"(^|_)(utils?|helpers?|common|managers?|base|impl)(_|$)")
STRATEGY_NAMES = "batchops/spec/typed.py"
ASKS_STRATEGY = re.compile(r"strategy|\bwanted\b|\bkind\.name\b")
TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "batchops", "tests", "recipes"}


def test_modules_are_short() -> None:
    lengths = {where(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: n for name, n in lengths.items() if n > LONGEST_MODULE} == {}
    assert median(lengths.values()) <= 100


def test_functions_are_short() -> None:
    long = {
        f"{where(path)}:{function.name}": length
        for path in MODULES
        for function in functions(path)
        if (length := body_lines(function)) > LONGEST_FUNCTION
    }
    assert {name: length for name, length in long.items() if name not in THE_LOOP} == {}


def test_names_say_something() -> None:
    bad = [
        where(path)
        for path in MODULES
        for part in path.relative_to(ROOT).with_suffix("").parts
        if NAMELESS.search(part)
    ]
    bad += [
        f"{where(path)}:{node.name}"
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.ClassDef) and re.search(r"(Utils?|Helper|Manager|Base|Impl)$", node.name)
    ]
    assert bad == []


def test_only_db_asks_which_database_this_is() -> None:
    """Nobody else compares a name of one, imports its folder, or hands its dialect an option; texts may name it."""
    found = [
        f"{where(path)}:{getattr(node, 'lineno', 0)}"
        for path in MODULES
        if "db" not in path.relative_to(ROOT).parts
        for node in nodes(path)
        if names_a_database(node)
    ]
    assert found == []


def names_a_database(node: ast.AST) -> bool:
    names = "postgres(ql)?|mysql|mariadb|sqlite"
    match node:
        case ast.Constant(value=str(text)):
            return re.fullmatch(names, text, re.IGNORECASE) is not None
        case ast.ImportFrom(module=str(module)):
            return re.match(rf"(batchops\.db|sqlalchemy\.dialects)\.({names})\b", module) is not None
        case ast.keyword(arg=str(name)):
            return re.match(rf"({names})_", name) is not None
        case ast.Attribute(attr="name", value=ast.Attribute(attr="dialect")) | ast.Attribute(attr="get_backend_name"):
            return True
    return False


def test_verbs_are_compared_in_their_own_folders_alone() -> None:
    """What differs from verb to verb is a field of its Verb, or a method of its spec, plan or job."""
    own = re.compile(r"batchops/(bulk|queue|outbox)/|batchops/verbs\.py")
    told = [
        f"{where(path)}:{constant.lineno}"
        for path in MODULES
        if not own.match(where(path))
        for node in nodes(path)
        for constant in chosen_by(node)
        if constant.value in {*VERBS, "archive"}
    ]
    assert told == []


def test_no_strategy_is_named_outside_its_file() -> None:
    """Others ask the registry: a strategy is one file and one line, and its name in what --strategy takes."""
    files = {path.stem for path in (ROOT / "batchops" / "bulk" / "strategies").glob("*.py")}
    names = {kind.name for kind in STRATEGIES} & files
    assert len(names) == len(STRATEGIES)
    others = [path for path in MODULES if path.parent.name != "strategies" and where(path) != STRATEGY_NAMES]
    bad = [f"{where(path)}:{line}" for path in others for line in named_strategies(tree(path), names)]
    assert bad == []


def test_what_is_public_promises_something() -> None:
    bare = [
        f"{where(path)}:{getattr(node, 'name', 'module')}"
        for path in MODULES
        for node in public(tree(path))
        if ast.get_docstring(node) is None and not (path.name == "__init__.py" and not path.read_text())
    ]
    assert bare == []


def test_nothing_is_left_to_do() -> None:
    """What a database cannot do is None in its family, not a method that raises."""
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|raise NotImplemented" + r"Error")
    assert [where(path) for path in MODULES + TESTS if mark.search(path.read_text())] == []


def test_no_test_is_skipped_without_a_reason() -> None:
    """A skip or xfail says why in its own words."""
    bare = [
        f"{where(path)}:{call.lineno}"
        for path in TESTS
        if any(word in path.read_text() for word in SKIPS)
        for call in nodes(path)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in SKIPS
        if not (call.keywords if call.func.attr == "skipif" else call.args or call.keywords)
    ]
    bare += [
        f"{where(path)}:{number}"
        for path in TESTS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.fullmatch(r"\s*@pytest\.mark\.(skip|xfail)", line)
    ]
    assert bare == []


def test_what_is_ignored_says_why() -> None:
    """`type: ignore` and `noqa` name their rule and the reason."""
    bad = []
    for path in MODULES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for found in re.finditer(r"# (type: ignore|noqa)(\S*)(.*)", line):
                rule, reason = found.group(2), found.group(3)
                if not rule or (found.group(1) == "type: ignore" and "#" not in reason):
                    bad.append(f"{where(path)}:{number}")
    assert bad == []


def test_the_top_level_holds_what_it_may() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:  # an unpacked archive has no index
        names = {path.name for path in ROOT.iterdir() if path.suffix != ".egg-info"}
    else:
        names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_every_module_has_its_layer() -> None:
    """import-linter passes over what its layers do not name."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {name for layer in contracts[0]["layers"] for name in re.split(r"\s*[:|]\s*", layer.strip())}
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES if path.name != "__init__.py"]
    assert [name for name in names if not any(name == layer or name.startswith(f"{layer}.") for layer in layers)] == []


def test_everything_typed_is_marked() -> None:
    assert (ROOT / "batchops" / "py.typed").exists()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["strict"] is True


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    gc.disable()  # all trees are kept: to look through them again and again takes longer than to parse them
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree(path)))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement to the last, without docstring and signature.

    A list of values (up to four plain statements) is read at a glance and does not count.
    """
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if len(body) <= 4 and all(isinstance(node, ast.Return | ast.Assign | ast.Expr) for node in body):
        return 0
    return lines(body[0], body[-1])


def lines(first: ast.stmt, last: ast.stmt) -> int:
    assert last.end_lineno is not None
    return last.end_lineno - first.lineno + 1


def chosen_by(node: ast.AST) -> Iterator[ast.Constant]:
    """The constants that a comparison, a table or a match decides by."""
    match node:
        case ast.Compare():
            places: list[ast.expr | None] = [node.left, *node.comparators]
        case ast.Dict():
            places = list(node.keys)
        case ast.Subscript():
            places = [node.slice]
        case ast.MatchValue():
            places = [node.value]
        case _:
            return
    for place in places:
        yield from (inner for inner in ast.walk(place) if isinstance(inner, ast.Constant)) if place else ()


def named_strategies(module: ast.Module, names: set[str]) -> Iterator[int]:
    """Lines that import a strategy, compare or match one's name, or list some."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            own = node.module.removeprefix("batchops.bulk.strategies")
            if own != node.module and names & {own.strip("."), *(alias.name for alias in node.names)}:
                yield node.lineno
        elif isinstance(node, ast.Compare | ast.Match):
            if names & texts_in(node) and ASKS_STRATEGY.search(ast.unparse(node)):
                yield node.lineno
        elif isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
            listed = node.keys if isinstance(node, ast.Dict) else node.elts
            named = [one for one in listed if isinstance(one, ast.Constant) and one.value in names]
            if len(named) > 1 and 2 * len(named) >= len(listed):
                yield node.lineno


def texts_in(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def public(module: ast.Module) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef]:
    """The module, its public classes and functions."""
    yield module
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
