"""Names from files as text that a terminal, a table or a picture can show."""


def plain(text: str) -> str:
    """Return a name with control characters replaced, so that it stays on its line.

    Names of layers come from model files and may hold anything, such as escape
    sequences of a terminal.
    """
    return "".join(char if char.isprintable() else "?" for char in text)


def clipped(text: str, most: int) -> str:
    """Return a name of at most `most` characters, the middle left out if longer.

    Args:
        text: Any length.
        most: At least 4.
    """
    if len(text) <= most:
        return text
    tail = (most - 2) // 2
    return f"{text[: most - 2 - tail]}..{text[len(text) - tail :]}"
