"""Vectors of the processor, for numba: a few neighbouring numbers taken at once.

Numba leaves it to the compiler to find out that a loop may be run on several numbers
at a time, and with tables that are read and written the compiler must assume the
worst. These few operations say it outright; on any processor they become what its
vector registers can do.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    NativeValue,
    intrinsic,
    models,
    register_model,
    typeof_impl,
    unbox,
)

Typed = tuple[Any, Callable[..., Any]]


class Lanes:
    """How many numbers a vector has; a compiled loop is made for one count.

    Attributes:
        count: Numbers in a vector.
    """

    def __init__(self, count: int) -> None:
        self.count = count


class _LanesType(types.Type):
    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


class _VectorType(types.Type):
    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Vector({dtype}, {count})")


register_model(_LanesType)(models.OpaqueModel)


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Any) -> None:
        element = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, vector.count))


@typeof_impl.register(Lanes)
def _type_of_lanes(lanes: Lanes, context: Any) -> _LanesType:
    return _LanesType(lanes.count)


@unbox(_LanesType)
def _take_lanes(kind: Any, lanes: Any, context: Any) -> Any:
    return NativeValue(context.context.get_dummy_value())


@intrinsic
def size(typing: Any, lanes: Any) -> Typed:
    """Return how many numbers a vector has."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, lanes.count)

    return types.intp(lanes), code


@intrinsic
def load(typing: Any, array: Any, index: Any, lanes: Any) -> Typed:
    """Take the numbers of a flat array from ``index`` on; no bounds are checked."""
    vector = _VectorType(array.dtype, lanes.count)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(vector)
        place = _place(context, builder, signature, arguments, kind)
        return builder.load(place, align=context.get_abi_sizeof(kind.element))

    return vector(array, index, lanes), code


@intrinsic
def number(typing: Any, array: Any, index: Any) -> Typed:
    """Take one number of a flat array; no bounds are checked, no index counts from the end."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load(builder.gep(array.data, [arguments[1]]))

    return array.dtype(array, index), code


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Typed:
    """Put a vector into a flat array from ``index`` on; no bounds are checked."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(vector)
        place = _place(context, builder, signature, arguments, kind)
        builder.store(arguments[2], place, align=context.get_abi_sizeof(kind.element))
        return context.get_dummy_value()

    return types.none(array, index, vector), code


@intrinsic
def splat(typing: Any, number: Any, lanes: Any) -> Typed:
    """Repeat one number in every lane."""
    vector = _VectorType(number, lanes.count)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, context.get_value_type(vector), arguments[0])

    return vector(number, lanes), code


@intrinsic
def add(typing: Any, a: Any, b: Any) -> Typed:
    """Add two vectors."""
    return a(a, b), _arithmetic("fadd")


@intrinsic
def subtract(typing: Any, a: Any, b: Any) -> Typed:
    """Subtract the second vector from the first."""
    return a(a, b), _arithmetic("fsub")


@intrinsic
def multiply(typing: Any, a: Any, b: Any) -> Typed:
    """Multiply two vectors lane by lane."""
    return a(a, b), _arithmetic("fmul")


@intrinsic
def divide(typing: Any, a: Any, b: Any) -> Typed:
    """Divide the first vector by the second, lane by lane."""
    return a(a, b), _arithmetic("fdiv")


@intrinsic
def scaled(typing: Any, a: Any, number: Any, c: Any) -> Typed:
    """Return ``a * number + c`` with one number for all lanes, rounded once where it can be."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        factor = _splat(builder, context.get_value_type(a), arguments[1])
        product = builder.fmul(arguments[0], factor, flags=("contract",))
        return builder.fadd(product, arguments[2], flags=("contract",))

    return a(a, a.dtype, c), code


@intrinsic
def dot(typing: Any, a: Any, b: Any) -> Typed:
    """Multiply two vectors and add up the lanes, always in the same order."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(a)
        total = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(kind.element, [kind.element, kind]),
            f"llvm.vector.reduce.fadd.v{kind.count}f{a.dtype.bitwidth}",
        )
        zero = ir.Constant(kind.element, 0.0)
        return builder.call(total, [zero, builder.fmul(*arguments)], fastmath=("reassoc",))

    return a.dtype(a, b), code


def _arithmetic(operation: str) -> Callable[..., Any]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, operation)(*arguments)

    return code


def _splat(builder: Any, kind: Any, number: Any) -> Any:
    start = ir.IntType(32)(0)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, start)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), everywhere)


def _place(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), kind.as_pointer())
