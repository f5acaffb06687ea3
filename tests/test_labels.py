"""Labels as people have them: what is numbered, what is refused, what is questioned."""

import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl_helpers import data

quick = settings(max_examples=60, deadline=None, database=None)
SIX = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
DECOMPOSED = "cafe\u0301"  # as the names of files on a Mac
WRITTEN = {
    "NumPy's strings": (np.array(["cat", "dog"] * 3), ("cat", "dog")),
    "NumPy's new strings": (np.array(["cat", "dog"] * 3, dtype=np.dtypes.StringDType()), ("cat", "dog")),
    "one of NumPy's strings": ([np.str_("cat"), "dog"] * 3, ("cat", "dog")),
    "a column": (pd.Series(["cat", "dog"] * 3), ("cat", "dog")),
    "categories": (pd.Categorical(["cat", "dog"] * 3, categories=["dog", "cat", "never"]), ("cat", "dog")),
    "a column of categories": (pd.Series(["cat", "dog"] * 3, dtype="category"), ("cat", "dog")),
    "a column of one": (pd.DataFrame({"label": ["cat", "dog"] * 3}), ("cat", "dog")),
    "bytes": ([b"cat", b"dog"] * 3, ("cat", "dog")),
    "NumPy's bytes": (np.array([b"cat", "hündin".encode()] * 3), ("cat", "hündin")),
    "names with spaces": (["great white shark", "dog"] * 3, ("dog", "great white shark")),
    "white space around": (["cat", "dog", " cat", "dog\n", "cat\t", "\u00a0dog"], ("cat", "dog")),
    "two ways to write é": (["café", "dog", DECOMPOSED, "dog", "café", "dog"], ("café", "dog")),
    "a generator": (lambda: (name for name in ["cat", "dog"] * 3), ("cat", "dog")),
    "nullable numbers": (pd.Series([3, 5] * 3, dtype="Int64"), ("3", "5")),
    "numbers as text": (["10", "9"] * 3, ("10", "9")),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_names_of_classes_as_people_write_them(kind):
    labels, names = WRITTEN[kind]
    mine = data.from_arrays(SIX, labels() if callable(labels) else labels)
    assert mine.class_names == names
    assert all(type(name) is str for name in mine.class_names)
    first = mine.labels[0]
    assert mine.labels.tolist() == [first, 1 - first] * 3


@pytest.mark.parametrize(
    "missing", [None, float("nan"), np.nan, pd.NA, pd.NaT, "", "  ", b"", np.float32("nan")], ids=repr
)
@pytest.mark.parametrize("others", ["text", "numbers"])
def test_a_missing_label_is_refused_and_the_advice_helps(missing, others):
    labels = ["cat", "dog"] * 3 if others == "text" else [4, 7] * 3
    with pytest.raises(data.DataError, match=r"a label for each image; found .* for 1 of them, first for image 6"):
        data.from_arrays(np.concatenate([SIX, SIX[:1]]), [*labels, missing])
    assert len(data.from_arrays(SIX, labels)) == 6  # left out
    with pytest.raises(data.DataError, match="a name for each class"):
        data.from_arrays(SIX, [0, 1] * 3, class_names=["cat", missing])


def test_missing_labels_in_a_column_are_refused():
    for column in (pd.Series(["cat", None] * 3), pd.Categorical(["cat", None] * 3), pd.Series([1.0, np.nan] * 3)):
        with pytest.raises(data.DataError, match=r"a label for each image; found .* for 3 of them, first for image 1"):
            data.from_arrays(SIX, column)


def test_given_names_are_read_the_same_way():
    for names in (np.array(["cat", "dog"]), [b"cat", "dog "], pd.Index(["cat", "dog"]), pd.Series(["cat", "dog"])):
        assert data.from_arrays(SIX, [0, 1] * 3, class_names=names).class_names == ("cat", "dog")
    with pytest.raises(data.DataError, match="its own name"):
        data.from_arrays(SIX, [0, 1] * 3, class_names=["cat", "cat "])


@pytest.mark.parametrize("labels", [[0, "1"] * 3, [Path("cat"), Path("dog")] * 3, [0.5, 1] * 3, [1j, 2j] * 3])
def test_labels_that_are_neither_are_refused_and_the_advice_helps(labels):
    with pytest.raises(data.DataError, match=r"Write all of them as text: \[str\(label\) for label in labels\]"):
        data.from_arrays(SIX, labels)
    assert len(data.from_arrays(SIX, [str(label) for label in labels]).class_names) == 2


def test_one_hot_labels_in_lists_are_refused_and_the_advice_helps():
    labels = [[1, 0], [0, 1]] * 3
    with pytest.raises(data.DataError, match=r"pass numpy\.argmax\(labels, axis=1\)"):
        data.from_arrays(SIX, labels)
    assert data.from_arrays(SIX, np.argmax(labels, axis=1)).labels.tolist() == [0, 1] * 3


def test_labels_in_latin_1_are_refused_and_the_advice_helps():
    labels = [text.encode("latin-1") for text in ["hündin", "hund"] * 3]
    with pytest.raises(data.DataError, match=r"UTF-8; found b'h\\xfcndin'"):
        data.from_arrays(SIX, labels)
    assert data.from_arrays(SIX, [label.decode("latin-1") for label in labels]).class_names == ("hund", "hündin")


def test_names_that_differ_by_capital_letters_are_questioned():
    with pytest.warns(data.DataWarning, match="a class 'Cat' and another 'cat'. Are they one?"):
        mine = data.from_arrays(np.concatenate([SIX, SIX[:, ::-1]]), ["Cat", "cat", "dog"] * 4)
    assert len(mine.class_names) == 3


@given(st.data())
@quick
def test_labels_keep_their_meaning_and_each_class_its_two_sides(draw):
    characters = st.characters(exclude_characters="\0")  # NumPy drops zeros at the end of a text
    words = st.text(characters, max_size=4).map(lambda text: unicodedata.normalize("NFC", text.strip())).filter(bool)
    kinds = st.integers(-(2**63), 2**63 - 1), words, st.integers(0, 255).map(float)
    classes = draw.draw(st.one_of(*(st.lists(kind, min_size=2, max_size=4, unique=True) for kind in kinds)))
    labels = draw.draw(st.permutations(classes * draw.draw(st.integers(3, 7))))
    column = draw.draw(st.booleans())
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28), np.uint8)
    with warnings.catch_warnings(action="ignore", category=data.DataWarning):  # "A" and "a"
        mine = data.from_arrays(images, [[v] for v in labels] if column else labels)
    assert mine.labels.dtype == np.int64
    assert [mine.class_names[k] for k in mine.labels] == [str(v if isinstance(v, str) else int(v)) for v in labels]
    assert sorted(set(labels)) == sorted(set(labels), key=lambda v: mine.labels[labels.index(v)])
    for side in (mine.held_out, ~mine.held_out):
        assert len(set(mine.labels[side])) == len(classes)
    counts = np.bincount(mine.labels)
    assert np.bincount(mine.labels[mine.held_out]).tolist() == (counts // 3).tolist()


def test_numpy_and_pandas_labels_are_numbered():
    words = ["b", "a", "b", "a", "a", "b"]
    for labels in (words, np.array(words), np.array(words, dtype=object), pd.Series(words), pd.Categorical(words)):
        mine = data.from_arrays(SIX, labels)
        assert (mine.labels.tolist(), mine.class_names) == ([1, 0, 1, 0, 0, 1], ("a", "b"))
    for labels in (
        np.array([7, 5, 7, 5, 5, 7], np.uint8),
        np.float32([7, 5, 7, 5, 5, 7]),
        pd.Series([7, 5, 7, 5, 5, 7]),
    ):
        mine = data.from_arrays(SIX, labels)
        assert (mine.labels.tolist(), mine.class_names) == ([1, 0, 1, 0, 0, 1], ("5", "7"))
