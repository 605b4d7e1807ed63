"""Why calls of torch modules are refused, and what to put in their place."""

import re
from collections.abc import Mapping

from hao.errors import UnsupportedError
from hao.frontends.reasons import (
    ATTENTION,
    ENLARGES,
    FLAT,
    LOOPS,
    NORM,
    SMOOTH,
    SPLITS,
    for_each,
)

_REASONS: Mapping[str, str] = {
    **for_each(SMOOTH, "celu elu exp gelu glu hardswish log mish pow selu silu"),
    **for_each(SMOOTH, "softplus sqrt"),
    **for_each(ENLARGES, "convtranspose interpolate pixelshuffle upsample"),
    **for_each(NORM, "groupnorm instancenorm layernorm localresponsenorm rmsnorm"),
    **for_each(ATTENTION, "bmm multiheadattention scaleddotproductattention"),
    **for_each(SPLITS, "cat chunk concat split unbind"),
    **for_each(LOOPS, "gru lstm rnn"),
}
"""By the name of a module or function in small letters, without "2d" and "_"."""


def refused(called: str, title: str) -> UnsupportedError:
    """Return why a call is refused, with what to put in its place.

    Args:
        called: Class of the module, or the function.
        title: Of the call.
    """
    reason = _REASONS.get(
        re.sub("_|2d$", "", called.lower()),
        "the engine has no such operation, or this class is not PyTorch's own; export "
        "the module with torch.onnx.export, of which more is handled "
        "(docs/models.md), or leave it to the host",
    )
    if re.search("[13]d$", called):
        reason = FLAT
    return UnsupportedError(f"{called} {title!r} is not handled: {reason}")
