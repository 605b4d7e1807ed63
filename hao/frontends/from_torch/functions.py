"""What calls of PyTorch's functions become, one function per call.

Each function reads the arguments in PyTorch's spelling, defaults included, and calls
the piece that they stand for. Modules that do the same as a function share it, their
attributes being its arguments; nothing here needs PyTorch itself. Source of every
default: the documentation of torch.nn.functional, 2.4 to 2.13.
"""

from math import prod

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import reshape
from hao.frontends.final_scores import FinalScores, final_scores
from hao.frontends.from_torch.call import Result, TorchCall
from hao.frontends.over_pixels import PartOfPixels, Reduction, over_pixels
from hao.frontends.piece_types import Piece, Window, check_no_padding
from hao.frontends.pieces import pool_piece
from hao.frontends.pointwise_pieces import activation_piece, add_piece, clip_piece
from hao.ir.layer import ActivationKind, Padding, PoolKind


def read_relu(call: TorchCall) -> Piece:
    """Return a ReLU."""
    return activation_piece(call.site, call.x, ActivationKind.RELU)


def read_relu6(call: TorchCall) -> Piece:
    """Return a ReLU6."""
    return activation_piece(call.site, call.x, ActivationKind.RELU6)


def read_hardtanh(call: TorchCall) -> Piece:
    """Return what keeps values between two limits.

    Raises:
        UnsupportedError: They are no numbers.
    """
    lowest = call.argument(1, "min_val", -1.0)
    highest = call.argument(2, "max_val", 1.0)
    if not isinstance(lowest, int | float) or not isinstance(highest, int | float):
        raise UnsupportedError(
            f"{call.site.label}: limits {lowest} and {highest}; handled: numbers"
        )
    return clip_piece(call.site, call.x, float(lowest), float(highest))


def read_max_pool(call: TorchCall) -> Piece:
    """Return a maximum over windows.

    Raises:
        UnsupportedError: Dilated, or the places of the maxima are wanted.
    """
    dilation = call.pair(4, "dilation", 1)
    indices = call.argument(6, "return_indices", False)
    if dilation != (1, 1) or indices:
        raise UnsupportedError(
            f"{call.site.label}: dilation {dilation}, return_indices {indices}; "
            "handled: 1, False; use these"
        )
    window = _pool_window(call)
    if call.argument(5, "ceil_mode", False):
        window = window.rounded_up(call.x)
    return pool_piece(call.site, call.x, kind=PoolKind.MAX, window=window)


def read_average_pool(call: TorchCall) -> Piece:
    """Return an average over windows.

    Raises:
        UnsupportedError: Another divisor.
    """
    divisor = call.argument(6, "divisor_override")
    if divisor is not None:
        raise UnsupportedError(
            f"{call.site.label}: divisor_override {divisor}; handled: none; scale the "
            "weights behind it instead"
        )
    window = _pool_window(call)
    rounds_up = call.argument(4, "ceil_mode", False)
    wider = window.rounded_up(call.x) if rounds_up else window
    counted = bool(call.argument(5, "count_include_pad", True))
    return pool_piece(
        call.site,
        call.x,
        kind=PoolKind.AVERAGE,
        window=wider,
        uncounted=wider.uncounted(window, counts=counted),
    )


def _pool_window(call: TorchCall) -> Window:
    """Return the window of a pool; without a stride, that of the kernel."""
    kernel = call.pair(1, "kernel_size")
    missing = call.argument(2, "stride") in (None, [], ())
    return Window(
        kernel=kernel,
        stride=kernel if missing else call.pair(2, "stride"),
        padding=around(call.pair(3, "padding", 0)),
    )


def around(sizes: tuple[int, int]) -> Padding:
    """Return the same padding on both sides."""
    return Padding.halved(2 * sizes[0], 2 * sizes[1])


def read_adaptive_pool(call: TorchCall) -> Piece:
    """Return averages over the windows that give the size asked for."""
    return _adaptive_piece(call, PoolKind.AVERAGE)


def read_adaptive_maximum(call: TorchCall) -> Piece:
    """Return maxima over the windows that give the size asked for."""
    return _adaptive_piece(call, PoolKind.MAX)


def _adaptive_piece(call: TorchCall, kind: PoolKind) -> Piece:
    """Return equal windows side by side.

    Raises:
        UnsupportedError: The size asked for is no part of the map's.
    """
    check_no_padding(call.site, call.x)
    height, width = call.pair(1, "output_size")
    x = call.x.shape
    if call.argument(2, "return_indices", False):
        raise UnsupportedError(f"{call.site.label}: return_indices; handled: values")
    if min(height, width) < 1 or x.height % height or x.width % width:
        raise UnsupportedError(
            f"{call.site.label}: output_size {height}x{width} of {x.height}x{x.width} "
            "pixels; handled: sizes that divide those of the map; use a pool of one "
            "kernel"
        )
    kernel = (x.height // height, x.width // width)
    if kernel == (1, 1):
        return Piece(value=call.x)
    window = Window(kernel=kernel, stride=kernel)
    return pool_piece(call.site, call.x, kind=kind, window=window)


def read_identity(call: TorchCall) -> Piece:
    """Return the operand, unchanged."""
    return Piece(value=call.x)


def read_scores(call: TorchCall) -> FinalScores:
    """Return class scores: what the end of a network does with its output."""
    return final_scores(call.site, call.x)


def read_flatten(call: TorchCall) -> Piece:
    """Return the tensor with some dimensions merged."""
    start = call.argument(1, "start_dim", 0)
    end = call.argument(2, "end_dim", -1)
    assert isinstance(start, int)
    assert isinstance(end, int)
    sizes = call.x.sizes
    first, last = start % len(sizes), end % len(sizes)
    merged = prod(sizes[first : last + 1])
    return _reshaped(call, (*sizes[:first], merged, *sizes[last + 1 :]))


def read_view(call: TorchCall) -> Piece:
    """Return the tensor in another shape."""
    sizes = call.positional[1:] or (call.named.get("shape", call.named.get("size")),)
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    whole = tuple(size for size in sizes if isinstance(size, int))
    if len(whole) != len(sizes):
        raise UnsupportedError(f"{call.site.label}: sizes {sizes}; handled: numbers")
    return _reshaped(call, whole)


def read_squeeze(call: TorchCall) -> Piece:
    """Return the tensor without dimensions of size 1: all, or those that are named."""
    sizes = call.x.sizes
    chosen = call.argument(1, "dim", range(len(sizes)))
    listed = chosen if isinstance(chosen, tuple | list | range) else (chosen,)
    gone = {dim % len(sizes) for dim in listed if isinstance(dim, int)}
    left = [n for dim, n in enumerate(sizes) if n > 1 or dim not in gone]
    return _reshaped(call, tuple(left))


def _reshaped(call: TorchCall, sizes: tuple[int, ...]) -> Piece:
    check_no_padding(call.site, call.x)
    return Piece(value=reshape(call.x, sizes, node=call.site.label))


def read_size(call: TorchCall) -> Result:
    """Return the sizes of a tensor, or one of them."""
    sizes = call.x.sizes
    position = call.argument(1, "dim")
    return _picked(call, sizes, position) if isinstance(position, int) else sizes


def read_getattr(call: TorchCall) -> Result:
    """Return the sizes of a tensor from its attribute."""
    name = call.argument(1, "name")
    if name != "shape":
        raise UnsupportedError(f"{call.site.label}: attribute {name!r}; handled: shape")
    return call.x.sizes


def read_getitem(call: TorchCall) -> Result:
    """Return one of the sizes of a tensor, or some."""
    value, index = call.positional[:2]
    if isinstance(value, tuple) and isinstance(index, int | slice):
        return _picked(call, value, index)
    raise UnsupportedError(
        f"{call.site.label}: takes a part of a tensor; handled: sizes of a tensor; "
        "compute with whole maps"
    )


def _picked(call: TorchCall, sizes: tuple[int, ...], index: int | slice) -> Result:
    """Return one of some sizes, or some of them.

    Raises:
        InputError: There are not so many.
    """
    try:
        item: Result = sizes[index]
    except IndexError as error:
        raise InputError(
            f"{call.site.label}: size {index} of a tensor of {len(sizes)} dimensions"
        ) from error
    return item


def read_mean(call: TorchCall) -> Result:
    """Return a mean over pixels, or over rows or columns alone until they follow."""
    return _reduced(call, PoolKind.AVERAGE)


def read_maximum(call: TorchCall) -> Result:
    """Return a maximum over pixels, or over rows or columns until they follow."""
    return _reduced(call, PoolKind.MAX)


def _reduced(call: TorchCall, kind: PoolKind) -> Result:
    axes = call.argument(1, "dim")
    chosen = (axes,) if isinstance(axes, int) else axes
    if not isinstance(chosen, tuple | list) or None in chosen:
        over = "everything" if axes is None else axes
        raise UnsupportedError(
            f"{call.site.label}: goes over {over}; handled: height and width, as "
            "in x.mean((2, 3))"
        )
    keep = bool(call.argument(2, "keepdim", False))
    how = Reduction(op=kind.value, kind=kind, axes=chosen, keep=keep)
    value = call.argument(0, "input")
    part = value if isinstance(value, PartOfPixels) else call.x
    return over_pixels(call.site, part, how)


def read_add(call: TorchCall) -> Result:
    """Return a residual add, or the sum of two sizes."""
    first, second = call.argument(0, "input"), call.argument(1, "other")
    if isinstance(first, int) and isinstance(second, int):
        return first + second
    if call.argument(3, "alpha", 1) != 1:
        raise UnsupportedError(
            f"{call.site.label}: scales an operand; handled: x + y; scale the weights "
            "that make it"
        )
    if isinstance(first, int) and first == 0:  # where Python's sum begins
        return Piece(value=call.feature_map(1, "other"))
    return add_piece(call.site, call.x, call.feature_map(1, "other"))


def read_multiply(call: TorchCall) -> int:
    """Return the product of two sizes.

    Raises:
        UnsupportedError: An operand is a tensor.
    """
    first, second = call.argument(0, "input"), call.argument(1, "other")
    if isinstance(first, int) and isinstance(second, int):
        return first * second
    if isinstance(first, int | float) or isinstance(second, int | float):
        remedy = "put the factor into a layer, or export with torch.onnx.export"
    else:
        remedy = "leave gates out, or put a convolution in their place"
    raise UnsupportedError(
        f"{call.site.label}: multiplies a tensor; handled: sizes; {remedy}"
    )
