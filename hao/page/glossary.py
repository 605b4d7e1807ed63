"""How the words of `hao.report.terms` are marked in a page."""

import re
from collections.abc import Callable

from markupsafe import Markup, escape

from hao.report.terms import TERM, TERMS


def term_key(term: str) -> str:
    """Return the anchor of a term in the glossary."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


def with_terms(text: str) -> Markup:
    """Return a text as HTML with the first use of each term linked to its definition.

    Args:
        text: Plain text; everything in it is escaped. What stands between backquotes
            becomes code.
    """
    seen: set[str] = set()

    def linked(part: str) -> Markup:
        pieces, last = [], 0
        for found in TERM.finditer(part):
            term = found[1]
            pieces.append(escape(part[last : found.start()]))
            last = found.end()
            if term in seen:
                pieces.append(escape(term))
                continue
            seen.add(term)
            link = Markup('<a class="term" href="#{}" title="{}">{}</a>')
            pieces.append(link.format(term_key(term), TERMS[term], term))
        return Markup("").join([*pieces, escape(part[last:])])

    return with_code(text, linked)


def with_code(text: str, other: Callable[[str], Markup] = escape) -> Markup:
    """Return a text as HTML, code where backquotes stand about it.

    Args:
        text: Plain text; everything in it is escaped.
        other: Makes HTML of what is no code.
    """
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else other(part)
        for number, part in enumerate(text.split("`"))
    )
