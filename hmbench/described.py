"""What a plug-in says of itself in one line, read from its source without running it: lists of models are instant."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path


def described(value: str) -> str | None:
    """First line of the docstring of ``module:NAME``, or the ``description`` that it is made with; None if unknown.

    Only the module's own file is read; nothing of its package is imported.
    """
    module, _, name = value.partition(":")
    tree = _tree(module)
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0] or None
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return _of_call(node.value, tree) if tree else None
    return None


def _of_call(made: ast.expr, tree: ast.Module) -> str | None:
    """The text that a call is given as its ``description``, by name, or by place where the module has the function."""
    if not isinstance(made, ast.Call):
        return None
    given = {keyword.arg: keyword.value for keyword in made.keywords}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and isinstance(made.func, ast.Name) and node.name == made.func.id:
            given |= dict(zip((argument.arg for argument in node.args.args), made.args, strict=False))
    found = given.get("description")
    return str(found.value) if isinstance(found, ast.Constant) else None


def lacks(value: str) -> list[str] | None:
    """The public names of a module that has no such ``NAME``; None if it has, or if that shows only when it runs."""
    module, _, name = value.partition(":")
    tree = _tree(module)
    if tree is None:
        return None
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _MAKERS:
            return None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name.partition(".")[0])
    if name in bound or bound & {"*", "__getattr__"}:
        return None
    return [name for node in tree.body for name in _made(node) if not name.startswith("_")]


def _made(node: ast.stmt) -> list[str]:
    """Names that a statement of a module makes; what it imports is another module's."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


_MAKERS = {"globals", "exec", "eval", "vars", "locals", "setattr", "sys"}
"""What may give a module names that its text does not show."""


@cache
def _tree(module: str) -> ast.Module | None:
    try:
        package, *inner = module.split(".")
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin)
        if inner:
            path = path.parent.joinpath(*inner)
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return ast.parse(path.read_text(encoding="utf-8"))
    except (ImportError, OSError, SyntaxError, ValueError):
        return None
