"""Terms in a text: linked once, to where they are defined, and nothing unescaped."""

from hao.page.glossary import term_key, with_terms
from hao.report.terms import TERMS


def test_the_first_use_of_a_term_is_linked_to_its_definition() -> None:
    html = with_terms("A tile; tiles and tiles: LUT, LUTs")
    assert html.count('href="#term-tiles"') == 1
    assert html.count('href="#term-lut"') == 1
    assert "A tile; <a" in html
    assert "LUTs" in html


def test_everything_else_is_escaped_and_backquotes_are_code() -> None:
    html = with_terms("<b> & `hao <run>`")
    assert html == "&lt;b&gt; &amp; <code>hao &lt;run&gt;</code>"


def test_keys_of_terms_differ() -> None:
    keys = {term_key(term) for term in TERMS}
    assert len(keys) == len(TERMS)
    assert term_key("90 % interval") == "term-90-interval"
