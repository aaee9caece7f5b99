"""How can one compiled program serve every value of an optimizer's numbers?

Each number becomes a Hyperparameter: it calculates like the Python float it stands for, in double precision, and
takes the type of the tensor it meets only there. A float32 variable in its place would turn 1 - 0.9995 into
something else than Keras computes. Whatever would let Python decide by the value is refused, except the
comparison with zero: its answer is part of the program's structure.

It stands in the optimizer only while Python builds or traces. At all other times the optimizer holds plain numbers,
those of the trial: a callback of the user's sees what it would see in fit.
"""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.ops import SymbolicTensor  # what a graph's tensors are; no public name

Operation = Callable[[Any, Any], Any]
Expression = tuple[Any, ...]
"""What is calculated, as nested tuples: equal for equal results."""


class StructuralUse(TypeError):
    """Python would decide by the value of a hyperparameter: its value then belongs to the structure."""

    def __init__(self, name: str, use: str) -> None:
        super().__init__(f"the optimizer's Python code decides by {name} ({use})")
        self.name = name


class Reading:
    """When and where the hyperparameters of one optimizer are read, and what Python asked of them."""

    def __init__(self) -> None:
        self.asked: set[str] = set()  # names of those that were compared with zero
        self.is_on = False  # what Python asks outside is no part of a program
        self._places: list[tuple[Any, str, Hyperparameter]] = []
        self._graph: Any = None
        self._tensors: dict[Any, Any] = {}

    def add(self, holder: Any, attribute: str, hyperparameter: "Hyperparameter") -> None:
        """Let a hyperparameter stand in this attribute while Python builds or traces."""
        self._places.append((holder, attribute, hyperparameter))

    @contextmanager
    def on(self) -> Iterator[None]:
        """While Python builds or traces, put the hyperparameters in place of the plain numbers."""
        if self.is_on:
            yield
            return
        plain = [getattr(holder, attribute) for holder, attribute, _ in self._places]
        for place in self._places:
            put(*place)
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False
            for (holder, attribute, own), value in zip(self._places, plain, strict=True):
                if getattr(holder, attribute) is own:  # else the optimizer's own code has put something there
                    put(holder, attribute, value)

    @contextmanager
    def at_the_start_of(self, graph: Any) -> Iterator[None]:
        """While a graph is traced, read and calculate at its start, once, however deep in its loops one asks."""
        self._graph, self._tensors = graph, {}
        try:
            with self.on():
                yield
        finally:
            self._graph, self._tensors = None, {}

    def traced(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Give a step of a model that has the hyperparameters in place whenever it is traced."""

        def traced_step(data: Any) -> Any:
            with self.on():
                return step(data)

        return traced_step

    def tensor(self, expression: Expression, read: Callable[[], Any], dtype: Any) -> Any:
        """Give the value of an expression as a tensor."""
        if self._graph is None:
            return tf.cast(read(), dtype)
        key = (expression, dtype)
        if key not in self._tensors:
            with self._graph.as_default():
                self._tensors[key] = _as_divisor(tf.cast(read(), dtype))
        return self._tensors[key]


def put(holder: Any, attribute: str, value: Any) -> None:
    """Set an attribute past the trackers of Keras and TensorFlow: the optimizer's variables stay what they are."""
    object.__setattr__(holder, attribute, value)


class _Divisor(SymbolicTensor):  # type: ignore[misc]  # TensorFlow has no types
    """A number in a program's graph. Where fit's graph divides by a constant, TensorFlow multiplies by its reciprocal."""

    def __rtruediv__(self, other: Any) -> Any:
        """Called before the other tensor's own division, for this is a subclass of it."""
        return tf.multiply(other, tf.math.reciprocal(tf.identity(self)))


def _as_divisor(tensor: Any) -> Any:
    if type(tensor) is SymbolicTensor and tensor.dtype.is_floating:
        tensor.__class__ = _Divisor
    return tensor


class Hyperparameter:
    """A number that a program reads when it runs, weakly typed like a Python float.

    `read` gives a scalar float64 tensor; `sign` is -1, 0 or 1, None for the result of a calculation. Whoever
    compares with zero is answered by the sign, and the name is noted: only then it is structure.
    """

    # numpy leaves the operation to us.
    __array_priority__ = 1e6
    __hash__ = object.__hash__

    def __init__(
        self,
        name: str,
        read: Callable[[], Any],
        sign: int | None = None,
        reading: Reading | None = None,
        expression: Expression | None = None,
    ) -> None:
        self.name, self.sign = name, sign
        self._read, self._reading = read, reading or Reading()
        self._expression = expression or (name,)

    def tensor(self, dtype: Any = None) -> Any:
        """Give the value as a tensor, of Keras's float type where none is asked for."""
        return self._reading.tensor(self._expression, self._read, tf.as_dtype(dtype or keras.config.floatx()))

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """Called by TensorFlow wherever it takes a value for a tensor."""
        return self.tensor(dtype)

    # --- arithmetic ---

    def __add__(self, other: Any) -> Any:
        return self._combine(other, tf.add)

    def __radd__(self, other: Any) -> Any:
        return self._combine(other, tf.add, reflected=True)

    def __sub__(self, other: Any) -> Any:
        return self._combine(other, tf.subtract)

    def __rsub__(self, other: Any) -> Any:
        return self._combine(other, tf.subtract, reflected=True)

    def __mul__(self, other: Any) -> Any:
        return self._combine(other, tf.multiply)

    def __rmul__(self, other: Any) -> Any:
        return self._combine(other, tf.multiply, reflected=True)

    def __truediv__(self, other: Any) -> Any:
        return self._combine(other, tf.divide)

    def __rtruediv__(self, other: Any) -> Any:
        return self._combine(other, tf.divide, reflected=True)

    def __pow__(self, other: Any) -> Any:
        return self._combine(other, tf.pow)

    def __rpow__(self, other: Any) -> Any:
        return self._combine(other, tf.pow, reflected=True)

    def __neg__(self) -> "Hyperparameter":
        return self._result(lambda: -self._read(), "negative", self._expression)

    def _combine(self, other: Any, operation: Operation, reflected: bool = False) -> Any:
        if isinstance(other, Hyperparameter):
            expression = operation.__name__, self._expression, other._expression
            return self._result(lambda: operation(self._read(), other._read()), *expression)
        if isinstance(other, (int, float)):
            constant = float(other)
            expression = operation.__name__, self._expression, (constant, reflected)
            return self._result(lambda: _ordered(operation, self._read(), constant, reflected), *expression)
        tensor = tf.convert_to_tensor(other.value if isinstance(other, keras.Variable) else other)
        return _ordered(operation, self.tensor(tensor.dtype), tensor, reflected)

    def _result(self, read: Callable[[], Any], *expression: Any) -> "Hyperparameter":
        return Hyperparameter(self.name, read, None, self._reading, expression)

    # --- what Python would decide by ---

    def __eq__(self, other: object) -> bool:
        return other is not None and self._compare(other, operator.eq)

    def __ne__(self, other: object) -> bool:
        return other is None or self._compare(other, operator.ne)

    def __lt__(self, other: Any) -> bool:
        return self._compare(other, operator.lt)

    def __le__(self, other: Any) -> bool:
        return self._compare(other, operator.le)

    def __gt__(self, other: Any) -> bool:
        return self._compare(other, operator.gt)

    def __ge__(self, other: Any) -> bool:
        return self._compare(other, operator.ge)

    def __bool__(self) -> bool:
        return self._compare(0, operator.ne)

    def __float__(self) -> float:
        return self._number("float")

    def __int__(self) -> int:
        return int(self._number("int"))

    def __format__(self, form: str) -> str:
        return format(self._number("format"), form)

    def __index__(self) -> int:
        raise StructuralUse(self.name, "index")

    def _compare(self, other: object, comparison: Operation) -> bool:
        if self.sign is not None and isinstance(other, (int, float)) and other == 0 and self._reading.is_on:
            self._reading.asked.add(self.name)
            return bool(comparison(self.sign, 0))
        return bool(comparison(self._number("comparison"), other))

    def _number(self, use: str) -> float:
        """Answer one whom the user's step has handed this on: its value of now, where no program is being made."""
        if self._reading.is_on:
            raise StructuralUse(self.name, use)
        return float(self._read())


def sign_of(value: float) -> int:
    """Tell -1, 0 or 1.

    >>> sign_of(0.9), sign_of(0.0), sign_of(-2.0)
    (1, 0, -1)
    """
    return (value > 0) - (value < 0)


def teach_tensorflow() -> None:
    """Let TensorFlow's own functions take a Hyperparameter; once in a process, repeating does no harm."""
    tf.register_tensor_conversion_function(Hyperparameter, _convert)


def _convert(value: Hyperparameter, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Any:
    return value.tensor(dtype)


def _ordered(operation: Operation, own: Any, other: Any, reflected: bool) -> Any:
    other = tf.constant(other, own.dtype) if isinstance(other, float) else other
    return operation(other, own) if reflected else operation(own, other)
