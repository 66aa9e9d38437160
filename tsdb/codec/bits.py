"""Machine words inside kernels: bit counts, byte swaps, unaligned loads and stores, prefetch.

    in   uint64 words; arrays of any item type with a byte offset into their memory
    out  uint64 words

numba reads arrays item by item; a bit stream needs 8 bytes from any byte, which is one
instruction on every machine we run on. Loads and stores are little-endian; wrap them in
`bswap64` for most-significant-bit-first streams.

Offsets are never checked in normal builds: the caller proves them. Under NUMBA_BOUNDSCHECK=1
every load and store of this module is checked like any array index and raises IndexError, so
the checked run of the tests sees what a kernel touches, slack bytes included.

Price: one instruction each (`load64` + `bswap64` is one `movbe`).
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)
_BIT = ir.IntType(1)


@intrinsic
def clz64(typing, x):
    """Leading zero bits; 64 for 0."""

    def build(context, builder, signature, args):
        return builder.ctlz(args[0], ir.Constant(_BIT, 0))

    return types.uint64(types.uint64), build


@intrinsic
def ctz64(typing, x):
    """Trailing zero bits; 64 for 0."""

    def build(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(_BIT, 0))

    return types.uint64(types.uint64), build


@intrinsic
def popcount64(typing, x):
    """Bits that are set."""

    def build(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), build


@intrinsic
def bswap64(typing, x):
    """The eight bytes in reverse order."""

    def build(context, builder, signature, args):
        return builder.bswap(args[0])

    return types.uint64(types.uint64), build


@intrinsic
def mulhi64(typing, a, b):
    """High 64 bits of the 128-bit product."""

    def build(context, builder, signature, args):
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), _WORD)

    return types.uint64(types.uint64, types.uint64), build


@intrinsic
def float_bits(typing, x):
    """The bit pattern of a float64, NaN payload included."""

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], _WORD)

    return types.uint64(types.float64), build


@intrinsic
def bits_float(typing, x):
    """The float64 of a bit pattern."""

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), build


def _offset_type(offset):
    """Offsets are int64 or uint64, as the caller computes them; no conversion either way."""
    return types.uint64 if offset == types.uint64 else types.int64


def _pointer(context, builder, array_type, array, offset, size_bytes):
    """Address of `offset`, proved to lie inside the array in bounds-checked builds."""
    fields = context.make_array(array_type)(context, builder, array)
    if config.BOUNDSCHECK and size_bytes:
        room = builder.mul(fields.nitems, fields.itemsize)
        last = builder.add(offset, ir.Constant(_WORD, size_bytes))
        # Unsigned compares: a negative offset is a huge one. `last < offset` catches its wrap.
        outside = builder.or_(
            builder.icmp_unsigned(">", last, room), builder.icmp_unsigned("<", last, offset)
        )
        with builder.if_then(outside, likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("byte offset out of bounds",))
    start = builder.bitcast(fields.data, _BYTE.as_pointer())
    return builder.gep(start, [offset])


def _load(size_bits: int) -> Any:
    @intrinsic
    def load(typing, array, offset):
        """Unaligned little-endian load at a byte offset, zero-extended to uint64."""

        def build(context, builder, signature, args):
            place = _pointer(context, builder, signature.args[0], *args, size_bits // 8)
            typed = builder.bitcast(place, ir.IntType(size_bits).as_pointer())
            word = builder.load(typed, align=1)
            return word if size_bits == 64 else builder.zext(word, _WORD)

        return types.uint64(array, _offset_type(offset)), build

    return load


def _store(size_bits: int) -> Any:
    @intrinsic
    def store(typing, array, offset, word):
        """Unaligned little-endian store of the low bits of `word` at a byte offset."""

        def build(context, builder, signature, args):
            place = _pointer(context, builder, signature.args[0], *args[:2], size_bits // 8)
            typed = builder.bitcast(place, ir.IntType(size_bits).as_pointer())
            low = args[2] if size_bits == 64 else builder.trunc(args[2], ir.IntType(size_bits))
            builder.store(low, typed, align=1)
            return context.get_dummy_value()

        return types.void(array, _offset_type(offset), types.uint64), build

    return store


load8, load16, load32, load64 = _load(8), _load(16), _load(32), _load(64)
store8, store16, store32, store64 = _store(8), _store(16), _store(32), _store(64)


def _prefetch(for_write: int) -> Any:
    @intrinsic
    def prefetch(typing, array, offset):
        """Ask for the cache line at a byte offset. Any offset is harmless."""

        def build(context, builder, signature, args):
            place = _pointer(context, builder, signature.args[0], *args, 0)
            i32 = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), i32, i32, i32])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [place, i32(for_write), i32(3), i32(1)])
            return context.get_dummy_value()

        return types.void(array, _offset_type(offset)), build

    return prefetch


prefetch_read, prefetch_write = _prefetch(0), _prefetch(1)
