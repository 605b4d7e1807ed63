"""Exact integer arithmetic that every cost formula needs."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Return the smallest integer not below numerator / denominator.

    Args:
        numerator: Any integer.
        denominator: At least 1.

    Examples:
        >>> ceil_div(7, 2), ceil_div(-7, 2), ceil_div(6, 2)
        (4, -3, 3)
    """
    assert denominator > 0
    return -(-numerator // denominator)


def ceil_log2(value: int) -> int:
    """Return the number of bits that count `value` different states.

    Args:
        value: At least 1.

    Examples:
        >>> [ceil_log2(value) for value in (1, 2, 3, 4, 5)]
        [0, 1, 2, 2, 3]
    """
    assert value > 0
    return (value - 1).bit_length()
