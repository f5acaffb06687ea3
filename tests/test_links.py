"""tools/links.py: which findings of Sphinx's link checker stop it, and what it says without a network."""

import http.server
import shutil
import threading

import links
import pytest

pytestmark = pytest.mark.slow


def found(status, info="", uri="https://example.org/"):
    return {"status": status, "info": info, "uri": uri, "filename": "page.md", "lineno": 3}


UNREACHABLE = found("broken", "HTTPSConnectionPool(host='example.org'): Failed to resolve")
MISSING = found("broken", "404 Client Error: Not Found for url: https://example.org/")


@pytest.mark.parametrize(
    ("findings", "told", "well"),
    [
        ([UNREACHABLE, found("timeout")], "No network: none of 2 links to other hosts could be checked.", False),
        (
            [found("working"), found("redirected")],
            "2 links: 1 redirected, 1 working, 0 refuse programs, 0 broken.",
            True,
        ),
        ([found("working"), UNREACHABLE], "page.md:3: https://example.org/", False),
        ([found("working"), MISSING], "404 Client Error", False),
        ([MISSING], "404 Client Error", False),
        ([found("broken", "403 Client Error: Forbidden for url"), found("working")], "1 refuse programs", True),
        ([found("unchecked", uri="page.html"), found("local", uri="../x")], "0 links: none work", True),
    ],
)
def test_what_is_found_is_judged(findings, told, well):
    report, judged = links.judge(findings)
    assert told in report
    assert judged is well


class Answers(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200 if self.path == "/here" else 404)
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_):
        """Print nothing."""


def test_a_dead_link_of_a_page_is_found(root, tmp_path, monkeypatch):
    book = tmp_path / "book"
    (book / "static").mkdir(parents=True)
    (book / "_config.yml").write_text((root / "_config.yml").read_text())
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (book / "references.bib").write_text("")
    shutil.copytree(root / "tools", book / "tools")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        (book / "index.md").write_text(f"# A book\n\n[One]({host}/here)\n\n[Other]({host}/gone)\n")
        monkeypatch.setattr(links, "ROOT", book)
        findings = links.ask(tmp_path)
        server.shutdown()
    report, well = links.judge(findings)
    assert f"index.md:5: {host}/gone" in report
    assert "2 links: 1 working, 0 refuse programs, 1 broken." in report
    assert not well
