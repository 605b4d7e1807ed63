"""How the words of `hao.report.terms` are marked in a page."""

import re

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
    pieces = []
    for number, part in enumerate(text.split("`")):
        if number % 2:
            pieces.append(Markup("<code>{}</code>").format(part))
            continue
        last = 0
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
        pieces.append(escape(part[last:]))
    return Markup("").join(pieces)
