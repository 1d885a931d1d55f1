"""What kind of value an expression has, as far as the source says: a set, a float, a dict of sets.

Told from annotations first, then from what was assigned; unknown is no kind, and no finding. Deliberately simple: it has to be
right about what it says, not to say everything.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from apps.guard.project import Project
from apps.guard.source import Binding, Function, Module, is_self


class Kind(NamedTuple):
    """`set`, `dict`, `list`, `float`, `exact` (Decimal, Fraction), `int`, `text`, or `class`; `of`: its elements or values."""

    name: str
    of: Kind | None = None
    key: Kind | None = None


SET, FLOAT, EXACT, INT, TEXT = Kind("set"), Kind("float"), Kind("exact"), Kind("int"), Kind("text")
_NAMED = {
    "set": "set", "frozenset": "set", "Set": "set", "FrozenSet": "set", "AbstractSet": "set", "MutableSet": "set",
    "dict": "dict", "Dict": "dict", "defaultdict": "dict", "DefaultDict": "dict", "OrderedDict": "dict", "Mapping": "dict",
    "MutableMapping": "dict", "SortedDict": "dict",
    "list": "list", "List": "list", "deque": "list", "Deque": "list", "Sequence": "list", "Iterable": "list", "tuple": "list",
    "Tuple": "list", "Iterator": "list", "Collection": "list",
    "float": "float", "float64": "float", "float32": "float", "float16": "float", "floating": "float", "complex": "float",
    "Decimal": "exact", "Fraction": "exact", "Qty": "exact", "Price": "exact", "int": "int", "bool": "int", "str": "text",
}  # fmt: skip
_WRAPPERS = frozenset({"ClassVar", "Final", "Optional", "Annotated", "Required", "NotRequired"})
_INTEGER_MATH = frozenset({"gcd", "lcm", "isqrt", "comb", "perm", "factorial", "floor", "ceil", "trunc", "isnan", "isinf",
                           "isfinite", "isclose"})  # fmt: skip
_FLOATS = frozenset({
    "numpy.float64", "numpy.float32", "numpy.float16", "numpy.mean", "numpy.average", "numpy.median", "numpy.std", "numpy.var",
    "numpy.sqrt", "numpy.exp", "numpy.log", "numpy.percentile", "numpy.quantile", "numpy.linspace", "numpy.divide",
    "numpy.true_divide", "numpy.corrcoef", "numpy.polyfit", "statistics.fmean", "statistics.stdev", "statistics.pstdev",
    "statistics.correlation", "statistics.geometric_mean", "statistics.harmonic_mean", "operator.truediv", "builtins.float",
    "builtins.complex",
})  # fmt: skip
_SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
_EXACT = frozenset({"decimal.Decimal", "fractions.Fraction", "apps.strategy.Qty", "apps.strategy.Price"})


class Kinds:
    """Kinds of the expressions of one module."""

    def __init__(self, project: Project, module: Module) -> None:
        self.project = project
        self.module = module
        self._known: dict[ast.expr, Kind | None] = {}

    def of(self, node: ast.expr | None) -> Kind | None:
        """The kind of an expression; None where the source does not say."""
        if node is None:
            return None
        if node not in self._known:
            self._known[node] = None  # while it is being found: a name that is made of itself says nothing new
            self._known[node] = self._find(node)
        return self._known[node]

    def is_set(self, node: ast.expr | None) -> bool:
        """Whether it is a set."""
        kind = self.of(node)
        return kind is not None and kind.name == "set"

    def is_float(self, node: ast.expr | None) -> bool:
        """Whether it is a binary floating-point number."""
        kind = self.of(node)
        return kind is not None and kind.name == "float"

    def annotated(self, node: ast.expr | None) -> Kind | None:
        """The kind that an annotation says."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                return self.annotated(ast.parse(node.value, mode="eval").body)
            except SyntaxError:
                return None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self.annotated(node.left) or self.annotated(node.right)
        if isinstance(node, ast.Subscript):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            outer = _last(node.value)
            if outer in _WRAPPERS:
                return self.annotated(inner[0])
            name = _NAMED.get(outer)
            if name == "dict" and len(inner) == 2:
                return Kind("dict", self.annotated(inner[1]), self.annotated(inner[0]))
            return Kind(name, self.annotated(inner[0])) if name else None
        name = _NAMED.get(_last(node)) if node is not None else None
        return Kind(name) if name else None

    def attribute(self, cls: ast.ClassDef, name: str) -> Kind | None:
        """The kind of an attribute of a class's instances."""
        for module, owner in self.project.lineage(self.module, cls):
            kinds = self if module is self.module else Kinds(self.project, module)
            for annotation, value in assigned(module, owner, name):
                kind = kinds.annotated(annotation) or kinds.of(value)
                if kind is not None:
                    return kind
        return None

    def _find(self, node: ast.expr) -> Kind | None:
        match node:
            case ast.Constant(value=float() | complex()):
                return FLOAT
            case ast.Constant(value=int()):
                return INT
            case ast.Constant(value=str()) | ast.JoinedStr():
                return TEXT
            case ast.Set() | ast.SetComp():
                return SET
            case ast.Dict(values=values):
                return Kind("dict", next(filter(None, map(self.of, values)), None))
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return Kind("list", next(filter(None, map(self.of, elements)), None))
            case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element):
                return Kind("list", self.of(element))
            case ast.DictComp(value=value):
                return Kind("dict", self.of(value))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                return self.of(operand)
            case ast.BinOp():
                return self._operation(node)
            case ast.IfExp(body=one, orelse=other):
                return self._either(one, other)
            case ast.BoolOp(values=values):
                return self._either(*values)
            case ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.of(value)
            case ast.Subscript(value=value, slice=index):
                held = self.of(value)
                return held if isinstance(index, ast.Slice) else held.of if held and held.name in ("dict", "list") else None
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Call():
                return self._call(node)
        return None

    def _either(self, *nodes: ast.expr) -> Kind | None:
        found = [kind for n in nodes if (kind := self.of(n))]
        return next((k for k in found if k.name in ("set", "float")), found[0] if found else None)

    def _operation(self, node: ast.BinOp) -> Kind | None:
        left, right = self.of(node.left), self.of(node.right)
        names = {k.name for k in (left, right) if k}
        if isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor) and "set" in names:
            return SET
        if isinstance(node.op, ast.BitOr | ast.BitAnd | ast.BitXor) and (_is_view(node.left) or _is_view(node.right)):
            return SET
        if "float" in names:
            return FLOAT
        if "exact" in names:
            return EXACT
        if isinstance(node.op, ast.Div):
            # Two integers give a float. A path divided by text is none, nor is anything of a class that says otherwise.
            return None if "text" in names or "list" in names or self._is_path(node.left) else FLOAT
        if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.UnaryOp) and isinstance(node.right.op, ast.USub):
            return FLOAT if isinstance(node.right.operand, ast.Constant) else None
        return INT if names == {"int"} else left if left and left.name in ("list", "text") else None

    def _is_path(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and self.module.path_of(node.func).startswith("pathlib.")

    def _name(self, node: ast.Name) -> Kind | None:
        found = self.module.scope(node).find(node.id)
        if found is not None:
            kinds = [self._binding(b) for b in found[1]]
            known = [k for k in kinds if k]
            if found[1][0].annotation is not None:
                return kinds[0]
            if known:
                return next((k for k in known if k.name in ("set", "float")), known[0])
        path = self.module.path_of(node)
        there = self.project.lookup(self.module, path) if path else None
        if there is None:
            return None
        other = Kinds(self.project, there[0])
        return next(filter(None, (other._binding(b) for b in there[0].top.names[there[1]])), None)

    def _binding(self, binding: Binding) -> Kind | None:
        if binding.annotation is not None:
            return self.annotated(binding.annotation)
        if binding.element_of is not None:
            return self._element(binding.element_of)
        return self.of(binding.value)

    def _element(self, node: ast.expr) -> Kind | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
            held = self.of(node.func.value)
            return held.of if held else None
        held = self.of(node)
        if held is None:
            return None
        return held.key if held.name == "dict" else held.of

    def _attribute(self, node: ast.Attribute) -> Kind | None:
        if is_self(self.module, node.value):
            cls = self.module.class_of(node)
            return self.attribute(cls, node.attr) if cls else None
        path = self.module.path_of(node)
        if path.startswith("math.") and path != "math.":
            return FLOAT if path in ("math.pi", "math.e", "math.tau", "math.inf", "math.nan") else None
        there = self.project.lookup(self.module, path) if path else None
        if there is None:
            return None
        other = Kinds(self.project, there[0])
        return next(filter(None, (other._binding(b) for b in there[0].top.names[there[1]])), None)

    def _call(self, node: ast.Call) -> Kind | None:
        path = self.module.path_of(node.func)
        if path in ("builtins.set", "builtins.frozenset"):
            return SET
        if path in _EXACT:
            return EXACT
        if path in _FLOATS or (path.startswith("math.") and path.removeprefix("math.") not in _INTEGER_MATH):
            return FLOAT
        if path in ("builtins.abs", "builtins.min", "builtins.max", "builtins.sum", "statistics.mean", "statistics.median"):
            return next((k for a in node.args if (k := self._inner(a)) and k.name in ("float", "exact")), None)
        if path == "builtins.round":
            return self.of(node.args[0]) if len(node.args) == 2 else INT
        if path in ("builtins.int", "builtins.len"):
            return INT
        if path in ("builtins.list", "builtins.tuple", "builtins.sorted", "collections.deque"):
            return Kind("list", self._element(node.args[0]) if node.args else None)
        if path == "collections.defaultdict":
            made = self.module.path_of(node.args[0]) if node.args else ""
            return Kind("dict", {"builtins.set": SET, "builtins.float": FLOAT}.get(made))
        if isinstance(node.func, ast.Attribute):
            found = self._method(node, node.func)
            if found is not None:
                return found
        return self._returned(node.func)

    def _inner(self, node: ast.expr) -> Kind | None:
        held = self.of(node)
        return held.of if held and held.name in ("list", "set", "dict") else held

    def _method(self, node: ast.Call, func: ast.Attribute) -> Kind | None:
        held = self.of(func.value)
        if held is None:
            return None
        if held.name == "set" and func.attr in _SET_METHODS:
            return SET
        if held.name == "dict" and func.attr in ("get", "setdefault", "pop"):
            return held.of or (self.of(node.args[1]) if len(node.args) > 1 else None)
        if held.name == "list" and func.attr in ("pop", "popleft"):
            return held.of
        return held if held.name == "exact" and func.attr in ("quantize", "copy_abs", "normalize") else None

    def _returned(self, func: ast.expr) -> Kind | None:
        """What the annotation of a function of this module, or of a method of this class, says."""
        definition: Function | None = None
        if isinstance(func, ast.Name):
            found = self.module.scope(func).find(func.id)
            definition = next((b.definition for b in found[1] if isinstance(b.definition, Function)), None) if found else None
        elif isinstance(func, ast.Attribute) and is_self(self.module, func.value):
            cls = self.module.class_of(func)
            body = cls.body if cls else []
            definition = next((n for n in body if isinstance(n, Function) and n.name == func.attr), None)
        return self.annotated(definition.returns) if definition else None


def assigned(module: Module, cls: ast.ClassDef, name: str) -> list[tuple[ast.expr | None, ast.expr | None]]:
    """(annotation, value) of everything that a class's body and methods assign to an attribute of its instances."""
    found: list[tuple[ast.expr | None, ast.expr | None]] = []
    for node in module.assignments(cls):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
        target = targets[0] if len(targets) == 1 else None
        in_body = isinstance(target, ast.Name) and target.id == name and module.parents.get(node) is cls
        if in_body or (isinstance(target, ast.Attribute) and target.attr == name and is_self(module, target.value)):
            found.append((node.annotation if isinstance(node, ast.AnnAssign) else None, node.value))
    return sorted(found, key=lambda f: f[0] is None)


def _last(node: ast.expr | None) -> str:
    """The last name of a dotted one."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_view(node: ast.expr) -> bool:
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args
    return called and node.func.attr in ("keys", "items")  # type: ignore[attr-defined]
