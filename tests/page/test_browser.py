"""Pages in headless Chromium: drawn, nothing in the console, accessible by axe's rules.

Phone width and print were looked at by hand; the rules of axe hold contrast, names,
headings, landmarks and regions that scroll. All that can be used takes the keyboard's
focus, and shows it.
"""

import json
import re
import shutil
import subprocess
from functools import cache
from html import unescape
from importlib.resources import files
from pathlib import Path

import pytest

from hao.page.compare import comparison_page
from hao.page.page import render_page, run_page
from hao.page.parts import Page
from hao.runs.records import Records
from tests.page.test_page import evil_result
from tests.report.samples import QUANTIZATION, SIMULATION, small_result

DONE = Records(quantization=QUANTIZATION, simulation=SIMULATION)
RESULT = small_result()
PAGES = {
    "run": lambda: run_page(RESULT, DONE),
    "half done": lambda: run_page(RESULT, Records()),
    "evil names": lambda: run_page(evil_result(), Records()),
    "comparison": lambda: comparison_page((RESULT, DONE), (RESULT, Records())),
}
CHECK = """
<script>
window.addEventListener("load", function check() {
  if (document.documentElement.dataset.waiting !== "0") {
    setTimeout(check, 50);
    return;
  }
  document.querySelectorAll("details").forEach(function (each) { each.open = true; });
  // What a pointer can use a keyboard must reach, and must show that it did.
  var lost = [];
  document.querySelectorAll("a[href], button, summary, input, select, [tabindex='0']")
    .forEach(function (each) {
      if (!each.getClientRects().length || each.closest(".js-plotly-plot")) return;
      each.focus();
      var style = getComputedStyle(each);
      var seen = style.outlineStyle !== "none" || style.boxShadow !== "none";
      if (document.activeElement !== each || each.tabIndex < 0 || !seen) {
        lost.push(each.outerHTML.slice(0, 200));
      }
    });
  axe.run(document).then(function (found) {
    var kept = document.createElement("pre");
    kept.id = "axe";
    kept.textContent = JSON.stringify({
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      lost: lost,
      wrong: found.violations.map(function (each) {
        return each.id + ": " + each.nodes[0].html.slice(0, 200);
      }),
    });
    document.body.appendChild(kept);
  });
});
</script>
"""


@cache
def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


def opened(page: Page, path: Path, width: int) -> tuple[str, str]:
    """Return the page as the browser left it, and what it wrote to the console."""
    browser = chromium()
    if browser is None:
        pytest.skip("no Chromium on PATH")
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    html = render_page(page).replace("</body>", f"<script>{axe}</script>{CHECK}</body>")
    path.write_text(html, encoding="utf-8")
    run = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--enable-logging=stderr", f"--user-data-dir={path.parent / 'profile'}"),
            *(f"--window-size={width},900", "--virtual-time-budget=60000"),
            *("--dump-dom", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return run.stdout, "\n".join(console)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 500])
def test_a_page_is_drawn_without_errors_and_keeps_the_rules_of_axe(
    name: str, width: int, tmp_path: Path
) -> None:
    page = PAGES[name]()
    dom, console = opened(page, tmp_path / "page.html", width)
    assert console == ""
    assert 'data-waiting="0"' in dom
    assert dom.count("js-plotly-plot") >= len(page.figures)
    found = re.search(r'<pre id="axe">(.*?)</pre>', dom, re.S)
    assert found is not None
    said = json.loads(unescape(found[1]))
    assert said == {"wide": 0, "lost": [], "wrong": []}


@pytest.mark.slow
def test_a_page_that_is_wrong_is_seen(tmp_path: Path) -> None:
    # The check itself: an error in the console, an image without words, low contrast.
    page = run_page(RESULT, Records())
    html = render_page(page).replace(
        "<main>",
        '<main><script>console.error("seen")</script><img src="data:,">'
        '<p style="color: #ccc">pale</p>'
        '<button style="outline: none" id="unseen">press</button>',
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.page.test_browser.render_page", lambda _: html)
        dom, console = opened(page, tmp_path / "page.html", 1280)
    assert "image-alt" in dom
    assert "color-contrast" in dom
    found = re.search(r'<pre id="axe">(.*?)</pre>', dom, re.S)
    assert found is not None
    (lost,) = json.loads(unescape(found[1]))["lost"]
    assert 'id="unseen"' in lost
    assert "seen" in console
