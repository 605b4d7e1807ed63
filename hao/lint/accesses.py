"""Which elements one iteration of a pipelined loop touches, inner loops unrolled.

The body is executed on symbols: an index is a linear form, a constant plus multiples of
names. A counter of an inner loop with constant bounds takes each of its values; what
is assigned becomes a new symbol; a call is followed into its body. Branches that
exclude each other are remembered, since they share a port.

`Trace` is longer than a class should be: its methods are the cases of one recursion.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tree_sitter import Node

from hao.lint.constants import Value, constant_declarators, evaluate
from hao.lint.context import Context, bind, find_calls
from hao.lint.loops import MOST_COPIES, loop_values
from hao.lint.rules_dataflow import access_kind
from hao.lint.scopes import LOOPS, Function, Variable
from hao.lint.source import declarator_name, text_of, walk

_DEEPEST = 6  # calls followed


@dataclass(frozen=True, slots=True)
class Form:
    """A constant plus `terms`: pairs of a symbol and its factor, sorted."""

    constant: int
    terms: tuple[tuple[str, int], ...] = ()

    def plus(self, other: "Form", sign: int = 1) -> "Form":
        """Return the sum, or the difference for sign = -1."""
        terms = dict(self.terms)
        for name, factor in other.terms:
            terms[name] = terms.get(name, 0) + sign * factor
        left = tuple(sorted((name, f) for name, f in terms.items() if f))
        return Form(self.constant + sign * other.constant, left)

    def times(self, factor: int) -> "Form":
        """Return a multiple."""
        terms = tuple((name, factor * f) for name, f in self.terms if factor)
        return Form(self.constant * factor, terms)


# Condition, copy and branch: those of one condition and copy exclude each other.
Path = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Access:
    """One read or write of an array element or a stream.

    `serial` tells apart two uses of one stream; those of one element share a port.
    """

    array: Variable
    owner: Function
    indices: tuple[Form, ...]
    writes: bool
    path: Path
    serial: int


@dataclass(frozen=True, slots=True)
class _Alias:
    array: Variable
    owner: Function
    indices: tuple[Form, ...]


@dataclass(slots=True)
class _Frame:
    function: Function
    values: dict[str, Value]
    forms: dict[str, Form]
    arrays: dict[str, _Alias]
    depth: int = 0


@dataclass(slots=True)
class Trace:
    """Collects the accesses; `open` says by array why some could not be counted."""

    context: Context
    accesses: list[Access] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)
    copies: int = 0
    fresh: int = 0

    def run(self, body: Node, function: Function, values: dict[str, Value]) -> None:
        """Execute a pipelined body once."""
        self._visit(body, _Frame(function, dict(values), {}, {}), ())

    def _visit(self, node: Node, frame: _Frame, path: Path) -> None:
        if self.copies > MOST_COPIES:
            return
        match node.type:
            case "preproc_call" | "comment":
                pass
            case kind if kind in LOOPS:
                self._loop(node, frame, path)
            case "if_statement" | "conditional_expression":
                self._branch(node, frame, path)
            case "declaration":
                self._declare(node, frame, path)
            case "subscript_expression":
                self._subscript(node, frame, path)
            case "call_expression":
                self._call(node, frame, path)
            case "binary_expression" | "assignment_expression" | "update_expression":
                for child in node.named_children:
                    self._visit(child, frame, path)
                self._stream_operator(node, frame, path)
                self._assign(node, frame)
            case _:
                for child in node.named_children:
                    self._visit(child, frame, path)

    def _loop(self, node: Node, frame: _Frame, path: Path) -> None:
        counted = loop_values(node, frame.values)
        body = node.child_by_field_name("body")
        if body is None:
            return
        if counted is None:
            for name in self._arrays_in(node, frame):
                self.open[name] = "an inner loop has no constant bounds"
            return
        name, numbers = counted
        outer = frame.values.get(name)
        for number in numbers:
            self.copies += 1
            if self.copies > MOST_COPIES:
                return
            frame.values[name] = number
            frame.forms.pop(name, None)
            self._visit(body, frame, path)
        frame.values.pop(name, None)
        if outer is not None:
            frame.values[name] = outer

    def _arrays_in(self, node: Node, frame: _Frame) -> Iterator[str]:
        for inner in walk(node):
            if inner.type == "identifier" and self._array(inner, frame) is not None:
                yield text_of(inner)

    def _branch(self, node: Node, frame: _Frame, path: Path) -> None:
        condition = node.child_by_field_name("condition")
        sides = [
            node.child_by_field_name(name) for name in ("consequence", "alternative")
        ]
        if condition is not None:
            self._visit(condition, frame, path)
            value = condition.child_by_field_name("value")
            known = evaluate(value or condition, frame.values)
            if known is not None:
                sides[int(bool(known))] = None
                sides.reverse()
        self.fresh += 1
        copy = self.fresh
        for branch, side in enumerate(sides):
            if side is not None:
                self._visit(side, frame, (*path, (node.id, copy, branch)))

    def _declare(self, node: Node, frame: _Frame, path: Path) -> None:
        constants = dict(constant_declarators(node))
        for child in node.children_by_field_name("declarator"):
            self._visit(child, frame, path)
            if any(
                inner.type == "array_declarator" for inner in (child, *child.children)
            ):
                continue
            name = text_of(declarator_name(child))
            if name in constants:
                self._set(frame, name, self._form(constants[name], frame))
            else:
                value = child.child_by_field_name("value")
                form = None if value is None else self._form(value, frame)
                self._set(frame, name, form or self._new(name))

    def _set(self, frame: _Frame, name: str, form: Form) -> None:
        frame.values.pop(name, None)
        frame.forms.pop(name, None)
        if form.terms:
            frame.forms[name] = form
        else:
            frame.values[name] = form.constant

    def _new(self, name: str) -> Form:
        self.fresh += 1
        return Form(0, ((f"{name}#{self.fresh}", 1),))

    def _assign(self, node: Node, frame: _Frame) -> None:
        if node.type == "binary_expression":
            return
        key = "left" if node.type == "assignment_expression" else "argument"
        target = node.child_by_field_name(key)
        if target is not None and target.type == "identifier":
            name = text_of(target)
            self._set(frame, name, self._new(name))

    def _array(self, node: Node, frame: _Frame) -> _Alias | None:
        """Return the array, pointer or stream that a name stands for."""
        name = text_of(node)
        if name in frame.arrays:
            return frame.arrays[name]
        if name in frame.values or name in frame.forms:
            return None
        variable = self.context.program.variable(frame.function, name, node)
        if variable is None:
            return None
        if (
            self.context.rank(variable)
            or "*" in variable.type_text
            or self.context.is_stream(variable)
        ):
            return _Alias(variable, frame.function, ())
        return None

    def _subscript(self, node: Node, frame: _Frame, path: Path) -> None:
        root, indices = self._element(node, frame, path)
        if root.type != "identifier":
            self._visit(root, frame, path)
            return
        alias = self._array(root, frame)
        if alias is None:
            return
        alias = replace(alias, indices=alias.indices + indices)
        rank = max(self.context.rank(alias.array), 1)
        if len(alias.indices) < rank or self.context.is_stream(alias.array):
            return
        reads, writes = access_kind(node)
        alias = replace(alias, indices=alias.indices[:rank])
        self._record(alias, reads, writes, path)

    def _element(
        self, node: Node, frame: _Frame, path: Path
    ) -> tuple[Node, tuple[Form, ...]]:
        """Return the name under subscripts, and the indices from the outermost."""
        indices: list[Form] = []
        while node.type in {"subscript_expression", "parenthesized_expression"}:
            if node.type == "subscript_expression":
                listed = node.child_by_field_name("indices")
                for index in [] if listed is None else listed.named_children:
                    self._visit(index, frame, path)
                    indices.insert(0, self._form(index, frame))
                inner = node.child_by_field_name("argument")
            else:
                inner = node.named_children[0] if node.named_children else None
            if inner is None:
                break
            node = inner
        return node, tuple(indices)

    def _record(self, alias: _Alias, reads: bool, writes: bool, path: Path) -> None:
        serial = 0
        if self.context.is_stream(alias.array):
            self.fresh += 1
            serial = self.fresh
        for kind, happens in ((False, reads), (True, writes)):
            if happens:
                self.accesses.append(
                    Access(alias.array, alias.owner, alias.indices, kind, path, serial)
                )

    def _stream(self, node: Node, frame: _Frame, path: Path) -> _Alias | None:
        root, indices = self._element(node, frame, path)
        alias = self._array(root, frame) if root.type == "identifier" else None
        if alias is None or not self.context.is_stream(alias.array):
            return None
        return replace(alias, indices=alias.indices + indices)

    def _stream_operator(self, node: Node, frame: _Frame, path: Path) -> None:
        left = node.child_by_field_name("left")
        if node.type != "binary_expression" or left is None:
            return
        sign = text_of(node.child_by_field_name("operator"))
        if sign in {"<<", ">>"}:
            stream = self._stream(left, frame, path)
            if stream is not None:
                self._record(stream, sign == ">>", sign == "<<", path)

    def _call(self, node: Node, frame: _Frame, path: Path) -> None:
        called = node.child_by_field_name("function")
        listed = node.child_by_field_name("arguments")
        arguments = [] if listed is None else listed.named_children
        if called is not None and called.type == "field_expression":
            target = called.child_by_field_name("argument")
            method = text_of(called.child_by_field_name("field"))
            stream = None if target is None else self._stream(target, frame, path)
            if stream is not None:
                reads = method in {"read", "read_nb"}
                self._record(stream, reads, method in {"write", "write_nb"}, path)
            elif target is not None:
                self._visit(target, frame, path)
        for argument in arguments:
            self._visit(argument, frame, path)
        self._follow(node, arguments, frame, path)

    def _follow(
        self, node: Node, arguments: list[Node], frame: _Frame, path: Path
    ) -> None:
        """Execute the body of a called function of the program."""
        calls = find_calls(node)
        call = next((item for item in calls if item.node.id == node.id), None)
        targets = () if call is None else self.context.program.named(call.name)
        fitting = [t for t in targets if len(t.parameters) == len(arguments)]
        passed = [self._passed(argument, frame) for argument in arguments]
        if len(fitting) != 1 or frame.depth >= _DEEPEST or call is None:
            for alias in passed:
                if alias is not None:
                    self.open[alias.array.name] = "it is passed to an unknown function"
            return
        target = fitting[0]
        given = bind(self.context.program, frame.function, target, call, frame.values)
        inner = _Frame(target, {**self.context.program.constants, **given}, {}, {})
        inner.depth = frame.depth + 1
        for parameter, argument, alias in zip(
            target.parameters, arguments, passed, strict=True
        ):
            if alias is not None:
                inner.arrays[parameter.name] = alias
            else:
                self._set(inner, parameter.name, self._form(argument, frame))
        self._visit(target.body, inner, path)

    def _passed(self, node: Node, frame: _Frame) -> _Alias | None:
        """Return the array, or part of one, that an argument passes."""
        root = node
        while root.type == "subscript_expression":
            inner = root.child_by_field_name("argument")
            if inner is None:
                return None
            root = inner
        alias = self._array(root, frame) if root.type == "identifier" else None
        if alias is None:
            return None
        _, indices = self._element(node, frame, ())
        alias = replace(alias, indices=alias.indices + indices)
        if self.context.is_stream(alias.array):
            return alias
        rank = max(self.context.rank(alias.array), 1)
        return alias if len(alias.indices) < rank else None

    def _form(self, node: Node, frame: _Frame) -> Form:
        """Return an index as a linear form; what is not linear becomes one symbol."""
        value = evaluate(node, frame.values)
        if value is not None:
            return Form(value)
        if node.type == "identifier":
            name = text_of(node)
            return frame.forms.get(name, Form(0, ((name, 1),)))
        if node.type == "parenthesized_expression" and len(node.named_children) == 1:
            return self._form(node.named_children[0], frame)
        if node.type == "binary_expression":
            found = self._linear(node, frame)
            if found is not None:
                return found
        return Form(0, ((self._opaque(node, frame), 1),))

    def _linear(self, node: Node, frame: _Frame) -> Form | None:
        left, right = (node.child_by_field_name(key) for key in ("left", "right"))
        if left is None or right is None:
            return None
        first, second = self._form(left, frame), self._form(right, frame)
        match text_of(node.child_by_field_name("operator")):
            case "+":
                return first.plus(second)
            case "-":
                return first.plus(second, -1)
            case "*" if not second.terms:
                return first.times(second.constant)
            case "*" if not first.terms:
                return second.times(first.constant)
            case "<<" if not second.terms and 0 <= second.constant < 64:
                return first.times(1 << second.constant)
            case _:
                return None

    def _opaque(self, node: Node, frame: _Frame) -> str:
        """Return the text of an expression with its names replaced by their forms."""
        if node.type == "identifier":
            name = text_of(node)
            value = frame.values.get(name, frame.forms.get(name, name))
            return str(value)
        if not node.children:
            return text_of(node)
        return f"({' '.join(self._opaque(child, frame) for child in node.children)})"
