"""Why calls of torch modules are refused, and what to put in their place."""

import re

from hao.errors import UnsupportedError
from hao.frontends import reasons as why

_REASONS = why.by_operator(
    {
        why.SMOOTH: "celu elu exp gelu glu hardsigmoid hardswish log logsigmoid mish "
        "pow selu silu softplus softsign sqrt",
        why.SLOPES: "leakyrelu prelu rrelu",
        why.PATCHES: "channelshuffle pixelunshuffle fold unfold",
        why.PADDING: "circularpad reflectionpad replicationpad",
        why.ENLARGES: "convtranspose interpolate pixelshuffle upsample",
        why.NORM: "groupnorm instancenorm layernorm localresponsenorm rmsnorm",
        why.ATTENTION: "bmm multiheadattention scaleddotproductattention",
        why.SPLITS: "cat chunk concat split unbind",
        why.LOOPS: "gru lstm rnn",
    }
)
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
        reason = why.FLAT
    return UnsupportedError(f"{called} {title!r} is not handled: {reason}")
