"""The steps of the product, by name, read from its sources.

What a process leaves behind when it dies is what its calls of ports have done: so a step is such a call, and a process
can die before each, and after each that changes anything. The name says who calls what: ``Claims._claim store.claim``.
A function that is given a port (``send_to_lanes(queue, …)``) is part of its caller's step.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias, get_type_hints

from tasklane import ports
from tasklane.aws import AwsPorts

FUNCTIONS: Final = Path(inspect.getfile(AwsPorts)).parents[1]
NO_STEP: Final = frozenset({"clock"})
"""Asking for the time leaves nothing behind."""

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _kinds() -> dict[str, type]:
    made = {name: one for name, one in vars(AwsPorts).items() if isinstance(one, cached_property)}
    returned = {name: get_type_hints(one.func)["return"] for name, one in made.items()}
    return {name: kind for name, kind in returned.items() if _is_port(kind) and name not in NO_STEP}


def _is_port(kind: type) -> bool:
    return kind.__module__.startswith(f"{ports.__name__}.")


def _methods(kind: type) -> frozenset[str]:
    return frozenset(name for name, one in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_"))


PORTS: Final[Mapping[str, frozenset[str]]] = {name: _methods(kind) for name, kind in _kinds().items()}
"""The methods of each port, by its name in AwsPorts."""
READS: Final[Mapping[str, frozenset[str]]] = {
    "store": frozenset({"check", "due", "failures", "get", "in_line", "recent"}),
    "control": frozenset({"declaration", "declarations", "limit_keys", "limits", "pauses", "waited_for"}),
    "queue": frozenset({"check"}),
    "callback_queue": frozenset({"check"}),
    "depths": frozenset({"depths"}),
    "blobs": frozenset({"get", "url"}),
    "secrets": frozenset({"current"}),
}
"""Those that change nothing: whoever dies after one leaves just what it left before."""
_WORDS: Final[Mapping[str, str]] = {
    base.__name__: name for name, kind in reversed(_kinds().items()) for base in kind.__mro__ if _is_port(base)
}
"""The ports' names by the words that annotations have for them."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of a port's method, at its place in the sources."""

    owner: str
    """The method, or function, that calls."""
    call: str
    """What it calls: ``store.put``."""
    lines: range
    number: int = 1
    """2 for the second place where its owner calls the same."""

    @property
    def only_reads(self) -> bool:
        """Whether it leaves everything as it is."""
        port, _, method = self.call.partition(".")
        return method in READS.get(port, frozenset())

    @property
    def name(self) -> str:
        return f"{self.owner} {self.call}" + (f" ({self.number})" if self.number > 1 else "")


@cache
def steps() -> Mapping[str, Step]:
    """Every step there is, by name. Raises ValueError where a port goes where nobody can follow it."""
    found = [step for module in _modules() for step in module.steps()]
    named: dict[str, Step] = {}
    for step in sorted(found, key=lambda one: (one.owner, one.lines.start)):
        before = sum((one.owner, one.call) == (step.owner, step.call) for one in named.values())
        numbered = replace(step, number=before + 1)
        named[numbered.name] = numbered
    return named


def step_at(frame: FrameType | None, call: str) -> str | None:
    """The name of the step that makes this call, from the stack of who makes it; None where it has none."""
    while frame is not None:
        owner = frame.f_code.co_qualname.partition(".<locals>")[0]
        if frame.f_code.co_filename.startswith(f"{FUNCTIONS}/") and owner not in _shared():
            here = [one for one in steps().values() if (one.owner, one.call) == (owner, call)]
            if exact := [one for one in here if len(here) == 1 or frame.f_lineno in one.lines]:
                return exact[0].name
        frame = frame.f_back
    return None


@cache
def _modules() -> list["_Module"]:
    """How a port does what it is asked is the adapters' business; everything else that ships has steps."""
    paths = sorted(path for path in FUNCTIONS.rglob("*.py") if not {"adapters", "ports"} & set(path.parts))
    return [_Module(path) for path in paths]


@cache
def _shared() -> Mapping[str, _Function]:
    """The functions that are given a port."""
    functions = (one for module in _modules() for one in module.tree.body if isinstance(one, _Function))
    return {one.name: one for one in functions if _ports_given(one)}


@cache
def _given() -> frozenset[str]:
    """The names of functions and methods that are given a port."""
    return frozenset(one.name for module in _modules() for one in module.given)


def _ports_given(function: _Function) -> dict[str, str]:
    """The ports among a function's parameters, by the parameter's name."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    words = {one.arg: ast.unparse(one.annotation).removesuffix(" | None") for one in arguments if one.annotation}
    return {name: _port_called(name, word) for name, word in words.items() if word in _WORDS}


def _port_called(name: str, word: str) -> str:
    """The port with this name, if it is of this kind; two may be."""
    kind = _kinds().get(name)
    return name if kind is not None and kind.__name__ == word else _WORDS[word]


class _Module:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self._parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        functions = (node for node in self._parents if isinstance(node, _Function))
        self.given = {one: given for one in functions if (given := _ports_given(one))}
        self._names = {name for given in self.given.values() for name in given}
        classes = (node for node in self._parents if isinstance(node, ast.ClassDef))
        self._kept: dict[ast.AST, dict[str, str]] = {one: self._ports_kept(one) for one in classes}

    def steps(self) -> Iterator[Step]:
        """What it calls, but not in functions that are given the port."""
        for node in ast.walk(self.tree):
            port = self._port(node)
            if port is not None and not (isinstance(node, ast.Name) and self._owner(node) in _shared()):
                yield from self._steps_with(node, port)

    def calls_with(self, function: _Function, parameter: str) -> Iterator[str]:
        """The methods of the port in this parameter that a function calls, itself or through others."""
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id == parameter and isinstance(node.ctx, ast.Load):
                yield from self._calls_with(node, _ports_given(function)[parameter])

    def _steps_with(self, node: ast.AST, port: str) -> Iterator[Step]:
        for method in self._calls_with(node, port):
            call = next((one for one in self._around(node) if isinstance(one, ast.Call)), None) or ast.expr()
            lines = range(getattr(call, "lineno", 0), (getattr(call, "end_lineno", 0) or 0) + 1)
            yield Step(owner=self._owner(node), call=f"{port}.{method}", lines=lines)

    def _calls_with(self, node: ast.AST, port: str) -> Iterator[str]:
        """What is called where a port stands: its method, or what a function that it is handed to calls."""
        match parent := self._parents[node]:
            case ast.Attribute(attr=name):
                yield from {name} & PORTS[port]
                return
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"))]):
                return  # kept, under a name that is known to be a port
            case ast.keyword():
                parent = self._parents[parent]
        match parent:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _shared():
                function = _shared()[name]
                module = next(one for one in _modules() if function in one.tree.body)
                yield from module.calls_with(function, _parameter(parent, node, function))
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if (
                name.lstrip("_")[0].isupper() or name in _given()
            ):
                return  # handed to an object or a method, which says what it is given
            case _:
                where = f"{self.path}:{getattr(node, 'lineno', '?')}"
                raise ValueError(f"{where}: nobody can follow the {port} from here; call it, or hand it on by name")

    def _port(self, node: ast.AST) -> str | None:
        """The port that an expression is."""
        match node:
            case ast.Name(id=name, ctx=ast.Load()) if name in self._names:
                given = (self.given[one] for one in self._around(node) if one in self.given)
                return next((ports[name] for ports in given if name in ports), None)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Load()):
                return next((self._kept[one].get(name) for one in self._around(node) if one in self._kept), None)
            case ast.Attribute(attr=name, ctx=ast.Load()) if name in PORTS:
                # Of the ports, where a method of the port follows; else of something else that has the same name.
                parent = self._parents[node]
                return name if isinstance(parent, ast.Attribute) and parent.attr in PORTS[name] else None
        return None

    def _ports_kept(self, owner: ast.ClassDef) -> dict[str, str]:
        """The ports that a class keeps, by attribute."""
        kept: dict[str, str] = {}
        for node in ast.walk(owner):
            match node:
                case ast.ClassDef(bases=[ast.Name(id=base)]) if base == AwsPorts.__name__:
                    kept |= {name: name for name in PORTS}
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Name()):
                    if port := self._port(node.value):
                        kept[name] = port
                case ast.FunctionDef(returns=ast.Name(id=word)) if word in _WORDS:
                    kept[node.name] = _WORDS[word]
                case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id=word)) if word in _WORDS:
                    kept[name] = _WORDS[word]
        return kept

    def _owner(self, node: ast.AST) -> str:
        """The method or function around a node, as a frame of it is named: what is nested in it belongs to it."""
        names: list[str] = []
        for one in reversed(list(self._around(node))):
            if isinstance(one, ast.ClassDef):
                names.append(one.name)
            elif isinstance(one, _Function):
                names.append(one.name)
                break
        return ".".join(names)

    def _around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What stands around a node, the nearest first."""
        while (node := self._parents.get(node, self.tree)) is not self.tree:
            yield node


def _parameter(call: ast.Call, given: ast.AST, function: _Function) -> str:
    """The name of the parameter that an argument goes to."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    by_position = dict(zip(map(id, call.args), names, strict=False))
    return by_position.get(id(given)) or next(one.arg or "" for one in call.keywords if one.value is given)
