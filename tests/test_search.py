"""The search of the site, in a browser, from files: parts of Chinese words are found, English is searched as before."""

import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import quote

import pytest

PAGES = {
    "words": "知识蒸馏\n  A student learns from a teacher（冻结层）。\n\n从头开始训练、微调LoRA\n  Nothing is copied.",
    "lora": "LoRA adds small matrices to frozen layers. Freezing keeps weights, the teacher's too.",
    "japanese": "ひらがなの学習率。カタカナ・テスト 전이학습 한국어 ｶﾀｶﾅ 𠮷野家",
    "letters": "Müller's café, naïve Bayes, Привет мир, α-stable, ReLU6, x_1, 2019, a 🚀 start.",
    "title": "A page about nothing",
}
TITLES = dict.fromkeys(PAGES, "Page") | {"title": "迁移学习 in short", "lora": "Adapters"}


@pytest.fixture(scope="module")
def sites(root, tmp_path_factory):
    """Return the folders of one small site, built with the extension and without."""
    folder = tmp_path_factory.mktemp("search 搜索")
    for name, text in PAGES.items():
        (folder / f"{name}.rst").write_text(f"{TITLES[name]}\n{'=' * 40}\n\n{text}\n", encoding="utf-8")
    (folder / "index.rst").write_text(
        "Start\n=====\n\n.. toctree::\n   :hidden:\n\n" + "".join(f"   {name}\n" for name in PAGES)
    )
    path = f"import sys\nsys.path.insert(0, {str(root / 'tools')!r})\nhtml_theme = 'basic'\n"
    found = {}
    for kind, extensions in {"ours": ["search"], "plain": []}.items():
        (folder / "conf.py").write_text(f"{path}extensions = {extensions}\n")
        found[kind] = folder / kind
        command = [sys.executable, "-m", "sphinx", "-qE", "-d", folder / "trees", folder, folder / kind]
        subprocess.run(command, check=True)
    return SimpleNamespace(**found)


ANSWER = """query => {
    window.index ??= structuredClone(Search._index);
    Search._index = structuredClone(window.index);
    return Search._performSearch(...Search._parseQuery(query)).reverse().map(result => result[0]);
}"""


@pytest.fixture(scope="module")
def ask(chromium, sites):
    """Return a function that gives the pages found for a query, the best first."""
    tabs = {kind: chromium.new_page() for kind in vars(sites)}
    for kind, tab in tabs.items():
        tab.goto(f"{getattr(sites, kind).as_uri()}/search.html")
    yield lambda kind, query: tabs[kind].evaluate(ANSWER, query)
    for tab in tabs.values():
        tab.close()


@pytest.mark.parametrize("query", ["蒸馏", "LoRA 微调", "鸡蛋", "freezing", "nowhere"])
def test_a_reader_sees_what_is_found(chromium, sites, ask, query):
    tab, asked = chromium.new_page(), []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{sites.ours.as_uri()}/search.html?q={quote(query)}")
    tab.wait_for_function("document.querySelector('.search-summary')?.innerText")
    links = [link.get_attribute("href") for link in tab.query_selector_all("#search-results li a")]
    assert [link.partition(".html")[0] for link in links] == ask("ours", query)
    assert [url for url in asked if not url.startswith(sites.ours.as_uri())] == []
    tab.close()


@pytest.mark.parametrize(
    ("query", "pages"),
    {
        "蒸馏": ["words"],  # the end of a word, as reported
        "冻结": ["words"],  # its beginning
        "识蒸": ["words"],  # across its middle
        "头开始训": ["words"],
        "知识蒸馏": ["words"],
        "层": ["words"],
        "学": ["japanese", "title"],
        "迁移": ["title"],
        "习": ["title"],
        "lora": ["lora", "words"],  # also where Chinese follows without a space
        "LoRA 微调": ["words"],  # both words, not one of them: LoRA is on two pages
        "微调 lora": ["words"],
        "微调LoRA": ["words"],
        "teacher 蒸馏": ["words"],
        "知识，训练。": ["words"],
        "（蒸馏）": ["words"],
        "\u3000冻结\u3000训练": ["words"],
        "ひら": ["japanese"],
        "の": ["japanese"],
        "がなの": ["japanese"],
        "タカ": ["japanese"],
        "ー": [],
        "テスト": ["japanese"],
        "ﾀｶ": ["japanese"],
        "학습": ["japanese"],
        "𠮷": ["japanese"],
        "野家": ["japanese"],
        "识知": [],  # the letters are there, not in this order
        "知馏": [],
        "鸡蛋": [],
        "LoRA 鸡蛋": [],
        "鸡蛋 LoRA": [],
        "知识 鸡": [],
        "蒸馏 nowhere": [],
    }.items(),
)
def test_parts_of_words_are_found_and_nothing_else(ask, query, pages):
    assert sorted(ask("ours", query)) == pages


ENGLISH = {
    "freezing": ["lora"],
    "freezes": ["lora"],
    "teachers": ["lora", "words"],
    "teacher weights": ["lora"],
    "matri": ["lora"],
    "small matrices": ["lora"],
    "müller": ["letters"],
    "Müll": ["letters"],
    "café": ["letters"],
    "naïve": ["letters"],
    "привет": ["letters"],
    "прив": ["letters"],
    "мир": ["letters"],
    "stable": ["letters"],
    "relu6": ["letters"],
    "x_1": ["letters"],
    "🚀": [],
    "2019": [],
    "the": [],
    "elsewhere": [],
    "page about": ["title"],
    "-frozen": ["lora"],
}


@pytest.mark.parametrize(("query", "pages"), ENGLISH.items())
def test_other_words_are_found_as_sphinx_finds_them(ask, query, pages):
    assert sorted(ask("ours", query)) == pages
    assert ask("ours", query) == ask("plain", query)
