"""Which mistakes are put into a module: one change of its syntax tree each.

A boundary moved, a comparison turned round, a condition that always holds or never, an operand or a
filter dropped, the other of max and min, a number by one off or ten times as large, the last of a loop
left out, a statement gone. Words are no subject: strings, what ``raise`` says, annotations and docstrings
stay.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

_COMPARED = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip

_COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip

_OTHER = {
    "max": "min", "any": "all", "maximum": "minimum", "argmax": "argmin", "first": "last",
}  # fmt: skip
_OTHER |= {there: here for here, there in _OTHER.items()}

#: What of a node is never looked into.
_WORDS = {"annotation", "returns", "decorator_list", "exc", "msg", "type_params", "bases"}


#: Keywords that say how a record is made or shown, and that lengths agree.
_MANNER = {"compare", "frozen", "gc", "init", "kw_only", "repr", "strict"}


@dataclass(frozen=True)
class Mutant:
    """One change: ``number`` among those of its module, the function ``where`` it is, the lines of its
    statement, and the text before and after."""

    number: int
    where: str
    lines: tuple[int, int]
    old: str
    new: str


def mutants(path: Path, but: frozenset[str] = frozenset()) -> list[Mutant]:
    """Every mutant of a module; functions named in ``but`` are left as they are."""
    found = enumerate(_changes(ast.parse(path.read_text("utf-8")), but))
    return [
        Mutant(number, at.where, at.lines, _text(at.old), _text(new)) for number, (at, new) in found
    ]


def mutated(path: Path, number: int, but: frozenset[str] = frozenset()) -> CodeType:
    """The code of a module with one of its mutants in it."""
    tree = ast.parse(path.read_text("utf-8"))
    for k, (at, new) in enumerate(_changes(tree, but)):
        if k == number:
            at.put(new)
            return compile(ast.fix_missing_locations(tree), str(path), "exec")
    raise IndexError(number)


@dataclass(frozen=True)
class _At:
    """A node in its parent: which field of it, and where in a list."""

    parent: ast.AST
    name: str
    index: int | None
    old: ast.AST
    where: str
    lines: tuple[int, int]

    def put(self, new: ast.AST) -> None:
        new = ast.copy_location(copy.deepcopy(new), self.old)
        if self.index is None:
            setattr(self.parent, self.name, new)
        else:
            getattr(self.parent, self.name)[self.index] = new


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())


def _changes(tree: ast.Module, but: frozenset[str]) -> Iterator[tuple[_At, ast.AST]]:
    for at in _inside(tree, "", (1, 1), but):
        for new in _others(at):
            yield at, new


def _inside(
    node: ast.AST, where: str, lines: tuple[int, int], but: frozenset[str]
) -> Iterator[_At]:
    for name, value in ast.iter_fields(node):
        if name in _WORDS:
            continue
        several = isinstance(value, list)
        for k, one in enumerate(value if several else [value]):
            if not isinstance(one, ast.AST) or isinstance(one, ast.JoinedStr | ast.Import):
                continue
            if isinstance(one, ast.keyword) and one.arg in _MANNER:
                continue
            around, at = where, lines
            if isinstance(one, ast.FunctionDef | ast.ClassDef):
                if one.name in but:
                    continue
                around = f"{where}.{one.name}".removeprefix(".")
            if isinstance(one, ast.stmt):
                at = one.lineno, _head(one)
            yield _At(node, name, k if several else None, one, around, at)
            yield from _inside(one, around, at, but)


def _head(one: ast.stmt) -> int:
    """The last line of a statement, without the statements in it."""
    body = getattr(one, "body", None)
    return max(one.lineno, body[0].lineno - 1) if body else one.end_lineno or one.lineno


def _others(at: _At) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    node = at.old
    match node:
        case ast.Compare():
            for k, operator in enumerate(node.ops):
                for other in _COMPARED[type(operator)]:
                    yield _with(node, ops=[*node.ops[:k], other(), *node.ops[k + 1 :]])
        case ast.BoolOp():
            yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for k in range(len(node.values)):
                rest = [*node.values[:k], *node.values[k + 1 :]]
                yield _with(node, values=rest) if rest[1:] else rest[0]
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _COMPUTED and not _text_of(node):
            yield _with(node, op=_COMPUTED[type(node.op)]())
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield ast.Constant(node.value + 1)
        case ast.Constant(value=float()):
            yield ast.Constant(node.value * 10 or 1.0)
        case ast.Name() if node.id in _OTHER and isinstance(at.parent, ast.Call):
            yield _with(node, id=_OTHER[node.id])
        case ast.Attribute() if node.attr in _OTHER and isinstance(node.ctx, ast.Load):
            yield _with(node, attr=_OTHER[node.attr])
        case ast.Slice():
            for end in ("lower", "upper"):
                if getattr(node, end) is not None:
                    yield _with(node, **{end: None})
        case ast.Expr(value=ast.Call()) | ast.Delete() | ast.Break():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.AugAssign():
            yield ast.Assign([node.target], node.value)
    if at.name == "test" and isinstance(at.parent, ast.If | ast.IfExp):
        yield from (ast.Constant(True), ast.Constant(False))
    if at.name == "ifs":
        yield ast.Constant(True)
    if at.name == "iter":
        every = ast.Call(ast.Name("list", ast.Load()), [node], [])
        yield ast.Subscript(
            every, ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(1))), ast.Load()
        )


def _with(node: ast.AST, **fields: object) -> ast.AST:
    made = copy.copy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _text_of(node: ast.BinOp) -> bool:
    """Whether strings are put together."""
    sides = node.left, node.right
    return any(
        isinstance(one, ast.JoinedStr)
        or (isinstance(one, ast.Constant) and isinstance(one.value, str))
        for one in sides
    )
