"""Evaluating the text of one config without running it: literals, names, and little else."""

import ast
from typing import Any, Callable, Dict, List, NamedTuple, Optional

LARGEST = 100_000  # values, or characters, that one expression may come to
HIGHEST = 2**64
CONSTRUCTORS = dict(dict=dict, list=list, tuple=tuple, len=len)
OPERATORS: Dict[type, Callable] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
}
WHAT = {
    'Import': 'an import',
    'ImportFrom': 'an import',
    'With': "'with'",
    'FunctionDef': 'a function',
    'ClassDef': 'a class',
    'Lambda': 'a function',
    'ListComp': 'a comprehension',
    'DictComp': 'a comprehension',
    'SetComp': 'a comprehension',
    'GeneratorExp': 'a comprehension',
    'JoinedStr': 'an f-string',
    'Attribute': 'an attribute',
    'AugAssign': 'a change of a value',
    'Delete': 'a deletion',
}


class Refusal(NamedTuple):
    """Something in a config that is not pure data.

    Args:
        file: The config.
        line: Where, from 1.
        what: What it is.
    """

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f'{self.file}, line {self.line}: {self.what}'


class Evaluation:
    """The values of a config's names, and what could not be evaluated.

    Args:
        text: The config, with mmengine's ``{{ }}`` already replaced.
        file: Its name, for the refusals.
        base: Values of its bases' names, which ``_base_.name`` gives.
    """

    def __init__(self, text: str, file: str, base: Dict[str, Any]) -> None:
        self.file, self.base = file, base
        self.values: Dict[str, Any] = {}
        self.refusals: List[Refusal] = []
        self._sizes: Dict[int, int] = {}
        self._kept: List[Any] = []  # or the ids above would be given again
        try:
            statements = ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.refuse(getattr(error, 'lineno', None) or 1, f'is not Python ({error})')
            return
        for statement in statements:
            try:
                self._assign(statement)
            except RecursionError:
                self.refuse(statement.lineno, 'it is nested too deep')

    def refuse(self, where: Any, what: str) -> None:
        """Note something that is not pure data; ``where`` is a line or a part of the syntax."""
        if not isinstance(where, int):
            where = [*getattr(where, 'decorator_list', []), where][0]
            where = getattr(where, 'lineno', 1)
        self.refusals.append(Refusal(self.file, where, what))

    def _assign(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return  # a text between the lines
        if not isinstance(statement, ast.Assign):
            self.refuse(statement, f'{_what(statement)} would run')
            return
        names = [getattr(target, 'id', None) for target in statement.targets]
        bad = [name for name in names if name is None or name.startswith('__')]
        if bad or set(names) & set(CONSTRUCTORS) or ('_base_' in names and len(names) > 1):
            self.refuse(statement, 'only plain names may be assigned to')
            return
        value = self.value(statement.value)
        if '_base_' not in names:
            self.values.update(dict.fromkeys(names, value))

    def value(self, node: ast.expr) -> Any:
        """Evaluate an expression; None for what is refused."""
        method = getattr(self, f'_{type(node).__name__.lower()}', None)
        if method is None:
            self.refuse(node, f'{_what(node)} would run')
            return None
        return method(node)

    def _keep(self, value: Any, parts: List[Any], node: ast.AST) -> Any:
        size = 1 + sum(self._size(part) for part in parts)
        if size > LARGEST:
            self.refuse(node, f'it comes to more than {LARGEST} values')
            return None
        self._sizes[id(value)] = size
        self._kept.append(value)
        return value

    def _size(self, value: Any) -> int:
        if isinstance(value, (str, bytes)):
            return 1 + len(value)
        return self._sizes.get(id(value), 1) if isinstance(value, CONTAINERS) else 1

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id not in self.values:
            self.refuse(node, f"'{node.id}' is no value of this config")
        return self.values.get(node.id)

    def _many(self, nodes: List[ast.expr]) -> List[Any]:
        values: List[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.value(node.value)
                values += inner if isinstance(inner, (list, tuple)) else []
                if len(values) > LARGEST:
                    self.refuse(node, f'it comes to more than {LARGEST} values')
                    return []
            else:
                values.append(self.value(node))
        return values

    def _list(self, node: ast.List) -> Any:
        values = self._many(node.elts)
        return self._keep(values, values, node)

    def _tuple(self, node: ast.Tuple) -> Any:
        values = self._many(node.elts)
        return self._keep(tuple(values), values, node)

    def _set(self, node: ast.Set) -> Any:
        values = self._many(node.elts)
        if not all(isinstance(value, (str, int, float, type(None))) for value in values):
            self.refuse(node, 'a set of something else than texts and numbers')
            return None
        return self._keep(set(values), values, node)

    def _dict(self, node: ast.Dict) -> Any:
        content: Dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values):
            inner = self.value(value)
            if key is None:
                content.update(inner if isinstance(inner, dict) else {})
                continue
            name = self.value(key)
            if isinstance(name, (str, int, float, type(None))):
                content[name] = inner
            else:
                self.refuse(key, 'a key that is no text or number')
        return self._keep(content, [*content.keys(), *content.values()], node)

    def _call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in CONSTRUCTORS:
            self.refuse(node, f'{_shown(node.func)}() would be called')
            return None
        positional = self._many(node.args)
        named: Dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                named[keyword.arg] = value
            elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
                named.update(value)
            else:
                self.refuse(node, '** of something else than a dict')
        if len(positional) > 1 or (positional and not isinstance(positional[0], CONTAINERS)):
            self.refuse(node, f'{name}() of something else than a list, tuple or dict')
            return None
        try:
            value = CONSTRUCTORS[name](*positional, **named)
        except (TypeError, ValueError) as error:
            self.refuse(node, f'{name}() fails: {error}')
            return None
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        return value if isinstance(value, int) else self._keep(value, list(parts), node)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.USub) and isinstance(value, (int, float)):
            return -value
        if isinstance(node.op, ast.Not):
            return not value
        self.refuse(node, 'a sign before something else than a number')
        return None

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        operate = OPERATORS.get(type(node.op))
        fits = all(isinstance(v, (int, float)) and abs(v) < HIGHEST for v in (left, right))
        if isinstance(node.op, ast.Add):
            fits = fits or (type(left) is type(right) and isinstance(left, (str, list, tuple)))
        if isinstance(node.op, ast.Mult) and isinstance(left, (str, list, tuple)):
            fits = isinstance(right, int) and abs(right) * self._size(left) <= LARGEST
        if operate is None or not fits:
            self.refuse(node, f"'{_shown(node)}' is no sum of numbers, texts or lists")
            return None
        try:
            value = operate(left, right)
        except ArithmeticError as error:
            self.refuse(node, f"'{_shown(node)}' fails: {error}")
            return None
        if isinstance(value, (list, tuple)):
            return self._keep(value, list(value), node)
        if isinstance(value, str) and len(value) > LARGEST:
            self.refuse(node, f'it comes to more than {LARGEST} characters')
            return None
        return value

    def _attribute(self, node: ast.Attribute) -> Any:
        return self._lookup(node.value, node.attr, node)

    def _subscript(self, node: ast.Subscript) -> Any:
        return self._lookup(node.value, self.value(node.slice), node)

    def _lookup(self, owner: ast.expr, key: Any, node: ast.expr) -> Any:
        """Look up ``_base_.model.neck`` or ``classes[0]``."""
        if isinstance(owner, ast.Name) and owner.id == '_base_':
            within: Any = self.base
        elif isinstance(node, ast.Attribute) and not _is_base(owner):
            self.refuse(node, f"the attribute '{_shown(node)}' would be looked up")
            return None
        else:
            within = self.value(owner)
        try:
            found = within[key]
        except (TypeError, KeyError, IndexError):
            self.refuse(node, f"'{_shown(node)}' is no value of this config or its bases")
            return None
        return self._measured(found, node)

    def _measured(self, value: Any, node: ast.expr) -> Any:
        if isinstance(value, CONTAINERS) and id(value) not in self._sizes:
            parts = [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
            return self._keep(value, [self._measured(part, node) for part in parts], node)
        return value


CONTAINERS = (list, tuple, dict, set)


def base_names(text: str) -> Optional[List[str]]:
    """Give the bases that a config names; None if they are not plain texts."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    nodes = [
        statement.value
        for statement in statements
        if isinstance(statement, ast.Assign)
        and any(getattr(target, 'id', None) == '_base_' for target in statement.targets)
    ]
    if len(nodes) != 1:
        return None if nodes else []
    given = nodes[0].elts if isinstance(nodes[0], (ast.List, ast.Tuple)) else nodes
    names = [getattr(node, 'value', None) for node in given]
    return names if all(isinstance(name, str) for name in names) else None


def _is_base(node: ast.expr) -> bool:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return isinstance(node, ast.Name) and node.id == '_base_'


def _what(node: ast.AST) -> str:
    kind = type(node).__name__
    if isinstance(node, ast.Expr):
        return f"'{_shown(node.value)}'"
    return WHAT.get(kind, f"'{kind}'")


def _shown(node: ast.AST) -> str:
    try:
        text = ast.unparse(node)
    except RecursionError:
        return '...'
    return text if len(text) <= 60 else f'{text[:57]}...'
