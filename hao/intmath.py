"""Exact integer arithmetic that every cost formula needs."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Return the smallest integer not below numerator / denominator.

    Args:
        numerator: Any integer.
        denominator: At least 1.
    """
    assert denominator > 0
    return -(-numerator // denominator)


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return ceil_div(value, multiple) * multiple


def ceil_log2(value: int) -> int:
    """Return the number of bits that count `value` different states.

    Args:
        value: At least 1.
    """
    assert value > 0
    return (value - 1).bit_length()
