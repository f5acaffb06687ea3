"""Parts of Chinese words in the site's search. A Sphinx extension.

Sphinx takes a run of letters for a word. Chinese and Japanese put no spaces between words, Korean few, so that a run
is a phrase, and who searches one word of it finds nothing. Here such a run is cut from the Latin letters beside it,
and the search page finds it by any part, a single letter too. English words are searched as Sphinx does it.
"""

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

# Chinese, Japanese and Korean letters, without the marks in between
LETTERS = "々-〇ぁ-ゖゝ-ゟァ-ヺー-ヿㇰ-ㇿ㐀-䶿一-鿿가-힣\uf900-\ufaffｦ-ﾟ\U00020000-\U000323af"
PIECES = re.compile(f"[{LETTERS}]+|[^{LETTERS}]+")

# Sphinx puts this after its own search program, which finds parts of words only from three letters on, and asks for
# words of one or two letters only if the query has no longer one. Here each part is asked for.
PROGRAM = """{
  const letters = "LETTERS";
  const pieces = new RegExp(`[${letters}]+|[^${letters}]+`, "gu");
  const part = new RegExp(`^[${letters}]`, "u");
  const byWords = splitQuery;
  splitQuery = query => byWords(query).flatMap(word => word.match(pieces));
  const withWords = Search.performTermsSearch;
  Search.performTermsSearch = (query, excluded) => {
    const { terms, titleterms, docnames } = Search._index;
    const parts = [...query].filter(word => part.test(word));
    const words = [...query].filter(word => !part.test(word));
    for (const index of [terms, titleterms])
      for (const word of parts) {
        const pages = Object.keys(index).filter(term => term.includes(word)).flatMap(term => index[term]);
        if (pages.length) index[word] = [...new Set(pages)];
      }
    const holds = (word, page) => terms[word]?.includes(page) || titleterms[word]?.includes(page);
    return withWords(new Set(words.length ? words : parts), excluded)
      .filter(([name]) => parts.every(word => holds(word, docnames.indexOf(name))));
  };
}
""".replace("LETTERS", "".join(letter if letter == "-" else f"\\u{{{ord(letter):x}}}" for letter in LETTERS))


class Search(SearchEnglish):
    """English words as Sphinx has them, and runs of Chinese, Japanese and Korean letters."""

    js_splitter_code = PROGRAM

    def split(self, text: str) -> list[str]:
        """Return the words and runs of a text."""
        return [piece for word in super().split(text) for piece in PIECES.findall(word)]

    def word_filter(self, word: str) -> bool:
        """Tell whether a word is indexed: short ones in Hiragana are, which Sphinx leaves out.

        Plain numbers are not: the search page ignores them, and those of the page "Status" differ with every build.
        """
        return word not in self.stopwords and not (word.isascii() and word.isdigit())


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx, in the place of plain English."""
    app.add_search_language(Search)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
