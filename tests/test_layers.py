"""Imports point up the shelves only, function bodies included."""

import ast
from pathlib import Path

import pytest

import banditroute

ROOT = Path(banditroute.__file__).parent

# From the top shelf down; rooms on one shelf do not import each other.
SHELVES = [
    {"errors"},
    {"values"},
    {"core"},
    {"config", "datasets", "plugins", "stores", "providers"},
    {"engine"},
    {"judging"},
    {"dispatch"},
    {"evaluation", "http", "simulation"},
    {"bootstrap"},
    {"cli"},
    {"__main__"},
]
SHELF = {room: number for number, rooms in enumerate(SHELVES) for room in rooms}


def imports_of(path: Path) -> set[str]:
    """The banditroute modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= inside or {node.module or ""}
    return {name for name in found if name.startswith("banditroute.")}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    return module.split(".")[1]


MODULES = {
    name_of(path): path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_own_room_and_the_shelves_above(name):
    room = room_of(name)
    for module in imports_of(MODULES[name]):
        other = room_of(module)
        if other in SHELF and other != room:
            assert SHELF[other] < SHELF[room], f"{room} imports {module}"


def test_every_room_has_a_shelf():
    assert {room_of(name) for name in MODULES} == set(SHELF)


def test_no_module_imports_itself_in_a_circle():
    graph = {name: imports_of(path) & set(MODULES) for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for other in graph[module]:
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_core_touches_no_clock_no_file_no_network_and_no_global_randomness():
    forbidden = {"time", "os", "socket", "random", "secrets", "asyncio", "httpx", "sqlite3"}
    for path in (ROOT / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            used = {name.split(".")[0] for name in names}
            assert not used & forbidden, f"{path.name} imports {used & forbidden}"
