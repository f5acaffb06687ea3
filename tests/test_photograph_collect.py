"""Collecting photographs on the page: reading them, keeping them, taking them along, in a real browser."""

import base64
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from tabs import IN_THE_DARK, Tab

from tl_base import photographs, twins
from tl_base.bundler import bundle
from tl_experiments import photographing
from tl_helpers import asset, data
from tl_helpers.widgets import FRONT

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "_build" / "screenshots"
SIDE = photographing.SIZE
MINUTE = 60_000  # milliseconds
AS_GLOBALS = "for (const each of Object.values(modules)) Object.assign(globalThis, each);"
TO_BYTES = "globalThis.bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));"
ALIKE = 2.0  # mean difference of 255 from what Python reads: the browser unpacks and first shrinks otherwise


def text_of(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def scene(seed=0, size=(300, 200)):
    """A picture with structure of its own: smooth colours, and a few blocks."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    for _ in range(8):
        x, y = generator.integers(0, size[0] - 20), generator.integers(0, size[1] - 20)
        image.paste(tuple(int(v) for v in generator.integers(0, 256, 3)), (x, y, x + size[0] // 9, y + size[1] // 9))
    return image


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


# --- What the page computes ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def functions(chromium):
    """A page on which the functions of collecting are globals."""
    page = chromium.new_page()
    page.add_script_tag(content=bundle(FRONT / "photographs_collect.js", AS_GLOBALS + TO_BYTES))
    yield page
    page.close()


def test_pictures_are_brought_to_size_as_pillow_does_it(functions):
    for side in (1, 40, 127, 128, 129, 200, 256, 300):
        assert of_pillow(functions, side).max() <= 1


def of_pillow(functions, side):
    """Return how far pixels of the page are from those of Pillow."""
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    with_alpha = np.dstack([pixels, np.full((side, side), 255, np.uint8)])
    found = functions.evaluate(
        """([text, side]) => {
            const canvas = new OffscreenCanvas(side, side);
            const image = new ImageData(new Uint8ClampedArray(bytesOf(text)), side);
            canvas.getContext("2d").putImageData(image, 0, 0);
            return Array.from(squareOf(canvas, side, side));
        }""",
        [text_of(with_alpha), side],
    )
    theirs = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.abs(np.array(found).reshape(SIDE, SIDE, 3) - np.asarray(theirs, int))


def test_like_pictures_are_those_that_python_finds(functions):
    shown = [photographs.read(path, SIDE, SIDE).pixels for path in sorted(asset("trashnet").rglob("*.jpg"))[::4]]
    one, two = scene(1, (128, 128)), scene(2, (128, 128))
    moved = [one.transform(one.size, Image.Transform.AFFINE, (1, 0, d, 0, 1, 0)) for d in (1, 3, 9)]
    light = two.point(lambda value: 0.8 * value + 20)
    dots = [Image.new("RGB", (128, 128)) for _ in range(3)]
    for k, dot in enumerate(dots):
        dot.paste((255, 255, 255), (40 + 3 * k, 40, 60 + 3 * k, 90))
    flat = [Image.new("RGB", (128, 128), (9, 9, 9))] * 2 + [Image.new("RGB", (128, 128), (99, 9, 9))]
    more = [np.asarray(each) for each in (one, one, *moved, two, light, *dots, *flat)]
    images = np.stack([*shown, *more])
    found = functions.evaluate(
        """([text, count]) => {
            const all = bytesOf(text);
            const size = all.length / count;
            const pictures = Array.from({ length: count }, (_, i) => all.slice(i * size, (i + 1) * size));
            return groupsOf(new Twins().links(pictures), count);
        }""",
        [text_of(images), len(images)],
    )
    theirs = twins.find(images).groups
    assert (
        len(shown) + 4 < len(set(theirs.tolist())) < len(images) - 4
    )  # there is something to find, and something else
    assert found == theirs.tolist()


@pytest.mark.parametrize(
    ("paths", "lots"),
    [
        (["a.png"], {None: 1}),
        (["cat/1.png", "cat/2.png"], {"cat": 2}),
        (["photos/cat/1.png", "photos/dog/2.png"], {"cat": 1, "dog": 1}),
        (["photos/cat/1.png", "photos/cat/x/2.png", "photos/3.png"], {"cat": 2, None: 1}),
        (["p/train/cat/1.png", "p/test/cat/2.png", "p/Val/dog/3.png"], {"cat": 2, "dog": 1}),
        (["p/train/1.png", "p/test/2.png"], {"train": 1, "test": 1}),
        (["cat/1.png", "dog/2.png", " cat /3.png"], {"cat": 2, "dog": 1}),
        (["a/b/c/1.png"], {"c": 1}),
        (["p/constructor/1.png", "p/__proto__/2.png"], {"constructor": 1, "__proto__": 1}),
    ],
)
def test_folders_name_classes(functions, paths, lots):
    found = functions.evaluate(
        """(paths) => lotsOf(paths.map((path) => {
            const parts = path.split("/");
            return { name: parts.pop(), path: parts };
        })).map(({ name, files }) => [name, files.length])""",
        paths,
    )
    assert dict(map(tuple, found)) == lots
    assert len(found) == len(lots)


SAFE = {
    "cat": "cat",
    "Straße 7": "Straße 7",
    "a/b\\c:d*e?f": "a_b_c_d_e_f",
    "<b>bold</b>": "_b_bold__b_",
    ".hidden": "_hidden",
    "end. ": "end",
    "CON": "CON_",
    "com1.png": "com1_png_",
    "Test": "Test_",
    "tab\there": "tab_here",
    "...": "_",
    "": "class 12",
    "😀": "😀",
    "CAT": "CAT (2)",
}


def test_names_of_folders_are_safe(functions):
    text = functions.evaluate(
        """async ([names, text]) => {
            const pictures = names.map((_, label) => ({ label, name: "same.png", pixels: bytesOf(text) }));
            const bytes = await archived({ classes: names, names, pictures: [...pictures, ...pictures] }, () => {});
            return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
        }""",
        [list(SAFE), text_of(np.zeros((SIDE, SIDE, 3), np.uint8))],
    )
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(text))) as archive:
        files = archive.namelist()
    assert files == [f"{safe}/same{more}.png" for more in ("", " (2)") for safe in SAFE.values()]


def test_png_is_read_back_the_same(functions):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    text = functions.evaluate(
        "async (text) => btoa(String.fromCharCode(...await png(bytesOf(text), 5)))", text_of(pixels)
    )
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(image), pixels)


# --- The page --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "photographs.html"
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    body = photographing.Photograph().html()
    path.write_text(f"{head}<title>Photograph</title><body>{body}</body></html>", encoding="utf-8")
    return path.as_uri()


def held_file(name, content):
    return {"name": name, "mimeType": "", "buffer": content}


class Collected(Tab):
    """The page in a browser tab, with what went wrong in it; nothing but the file itself can be reached."""

    def __init__(self, context, address):
        super().__init__(context, address)
        self.said = self.page.get_by_role("status").nth(0)

    def names(self):
        return [box.input_value() for box in self.page.locator(".tlx-classes .tlx-name input").all()]

    def counts(self):
        cards = self.page.locator(".tlx-photos-collect .tlx-class").all()
        return [card.get_by_role("option").count() for card in cards]

    def options(self, name):
        return self.page.get_by_role("listbox", name=f"Pictures of {name}", exact=True).get_by_role("option")

    def rename(self, number, name):
        box = self.page.get_by_label(f"Name of class {number}", exact=True)
        box.fill(name)
        box.press("Enter")

    def choose(self, label, *files):
        """Choose files, given as names and contents, or a folder on the disk."""
        held = [each if isinstance(each, Path) else held_file(*each) for each in files]
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=label, exact=True).click()
        chooser.value.set_files(held)

    def examples(self):
        self.press("Use the examples")
        expect(self.said).to_contain_text("are here. Undo brings back")

    def kept(self):
        expect(self.page.locator("[data-kept=kept]")).to_be_visible()

    def pixels(self, number=0):
        """What a picture on the page shows."""
        drawn = """(canvas) => Array.from(canvas.getContext("2d").getImageData(0, 0, 128, 128).data)"""
        canvas = self.page.locator(".tlx-photos-thumb canvas").nth(number)
        return np.array(canvas.evaluate(drawn), np.uint8).reshape(SIDE, SIDE, 4)[..., :3]

    def export(self, folder):
        with self.page.expect_download() as download:
            self.press("Export zip")
        expect(self.said).to_contain_text("photographs.zip with")
        with zipfile.ZipFile(download.value.path()) as archive:
            assert archive.testzip() is None
            archive.extractall(folder)
        return Path(download.value.path()).read_bytes()


@pytest.fixture
def open_tab(chromium, address):
    contexts = []

    def open_(width=1000, **options):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, **options))
        return Collected(contexts[-1], address)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def tab(open_tab):
    found = open_tab()
    yield found
    assert found.wrong == []


# --- Pictures come ---------------------------------------------------------------------------------------------------


def test_photographs_stand_as_the_camera_was_held(tab, tmp_path):
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        (tmp_path / f"{turn}.jpg").write_bytes(encoded(scene(turn, (700, 480)), "JPEG", quality=95, exif=exif))
    paths = sorted(tmp_path.iterdir())
    tab.choose("Add image files to first", *((path.name, path.read_bytes()) for path in paths))
    expect(tab.said).to_contain_text("8 pictures added to “first”")
    for place, path in enumerate(paths):
        theirs = photographs.read(path, SIDE, SIDE).pixels
        assert np.abs(tab.pixels(place) - theirs.astype(int)).mean() < ALIKE


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_pictures_of_any_size_and_format(tab, tmp_path, kind):
    for place, size in enumerate([(128, 128), (300, 200), (90, 140), (1000, 1400), (2, 14)]):
        (tmp_path / f"{place}.x").write_bytes(encoded(scene(place, (900, 900)).resize(size), kind))
    paths = sorted(tmp_path.iterdir())
    tab.choose("Add image files to first", *((path.name, path.read_bytes()) for path in paths))
    expect(tab.said).to_contain_text("5 pictures added")
    for place, path in enumerate(paths):
        theirs = photographs.read(path, SIDE, SIDE).pixels
        apart = np.abs(tab.pixels(place) - theirs.astype(int))
        assert apart.mean() < ALIKE, (place, apart.mean())
        if kind in ("PNG", "BMP") and place == 0:
            assert apart.max() == 0


def test_what_is_transparent_lies_on_white(tab):
    image = scene(5, (200, 200))
    image.putalpha(Image.linear_gradient("L").resize((200, 200)))
    tab.choose("Add image files to first", ("clear.png", encoded(image)))
    expect(tab.said).to_contain_text("1 picture added")
    theirs = Image.alpha_composite(Image.new("RGBA", (200, 200), "white"), image).convert("RGB")
    theirs = np.asarray(theirs.resize((SIDE, SIDE), Image.Resampling.BICUBIC), int)
    assert np.abs(tab.pixels() - theirs).mean() < 1


def fill(folder, **classes):
    """Write pictures into folders of classes."""
    for seed, (name, count) in enumerate(classes.items()):
        place = folder / name
        place.mkdir(parents=True)
        for i in range(count):
            (place / f"{i}.png").write_bytes(encoded(scene(100 * seed + i, (160, 140))))
    return folder


def test_a_folder_brings_its_classes(tab, tmp_path):
    photos = fill(tmp_path / "photos", cup=3, plate=2, spoon=2)
    (photos / "cup" / "notes.txt").write_text("no picture")
    (photos / "cup" / ".DS_Store").write_bytes(b"0")
    (photos / "__MACOSX").mkdir()
    (photos / "__MACOSX" / "0.png").write_bytes(b"0")
    (photos / "loose.png").write_bytes(encoded(scene(1)))
    (photos / "empty").mkdir()
    tab.choose("Folder …", photos)
    expect(tab.said).to_contain_text(
        "3 pictures added to “cup”, 2 pictures added to “plate”, 2 pictures added to “spoon”"
    )
    expect(tab.said).to_contain_text("notes.txt is no picture that this browser can read")
    expect(tab.said).to_contain_text("1 file lay in no folder")
    assert tab.names() == ["cup", "plate", "spoon"]
    assert tab.counts() == [3, 2, 2]
    tab.choose("Folder …", fill(tmp_path / "more", spoon=1, fork=1))
    expect(tab.said).to_contain_text("1 picture added to “fork”")
    assert tab.names() == ["cup", "plate", "spoon", "fork"]
    assert tab.counts() == [3, 2, 3, 1]
    tab.press("Undo")
    tab.press("Undo")  # a folder is one step, however many classes it brings
    assert tab.names() == ["first", "second"]
    tab.rename(1, "mine")
    tab.choose("Folder …", fill(tmp_path / "others", knife=2) / "knife")
    expect(tab.said).to_contain_text("2 pictures added to “knife”")
    assert tab.names() == ["mine", "knife"]  # what somebody has named stays


def test_more_folders_than_the_page_has_classes(tab, tmp_path):
    tab.choose("Folder …", fill(tmp_path / "photos", **dict.fromkeys("abcdefghij", 1)))
    expect(tab.said).to_contain_text("The page has 2 to 8 classes: there was no place for “i”, “j”.")
    assert tab.names() == list("abcdefgh")
    assert photographing.MOST_CLASSES == 8
    expect(tab.page.get_by_role("button", name="Another class")).to_be_disabled()


def drop(page, selector, *paths):
    """Drop files or folders from the disk on a place of the page."""
    page.locator(selector).first.scroll_into_view_if_needed()
    box = page.locator(selector).first.bounding_box()
    session = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 12}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": dragged})
    session.detach()


def test_files_and_folders_are_dropped(tab, tmp_path, address):
    photos = fill(tmp_path / "photos", cup=2, plate=1)
    drop(tab.page, ".tlx-class", photos / "cup" / "0.png", photos / "cup" / "1.png")
    expect(tab.said).to_contain_text("2 pictures added to “first”")
    drop(tab.page, ".tlx-class", photos / "plate")  # Chromium refuses folders where the page is a file itself
    expect(tab.said).to_contain_text("opened as a file read a dropped folder. Press “Folder …” instead")
    drop(tab.page, ".tlx-sentence", photos / "plate" / "0.png")
    expect(tab.said).to_contain_text("1 file lay in no folder: drop them on a class")
    assert tab.counts() == [2, 0]
    text = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    tab.page.route("http://localhost/**", lambda route: route.fulfill(body=text, content_type="text/html"))
    tab.page.goto("http://localhost/photographs.html")
    drop(tab.page, ".tlx-class", photos / "plate")
    expect(tab.said).to_contain_text("1 picture added to “first”")  # it was dropped on that class
    drop(tab.page, ".tlx-class", photos)
    expect(tab.said).to_contain_text("2 pictures added to “cup”, 1 picture added to “plate”")
    assert tab.names() == ["first", "cup", "plate"]
    assert tab.counts() == [1, 2, 1]


PASTE = """([selector, text]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const clipboardData = new DataTransfer();
    if (text) clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
    else clipboardData.setData("text/plain", "words");
    const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
    document.querySelector(selector).dispatchEvent(event);
    return event.defaultPrevented;
}"""


def test_pictures_are_pasted_into_the_class_used_last(tab):
    image = base64.b64encode(encoded(scene())).decode()
    assert tab.page.evaluate(PASTE, ["body", image])
    expect(tab.said).to_contain_text("1 picture added to “first”")
    tab.page.locator(".tlx-class").nth(1).click(position={"x": 5, "y": 5})
    assert tab.page.evaluate(PASTE, [".tlx-class", image])
    expect(tab.said).to_contain_text("1 picture added to “second”")
    assert not tab.page.evaluate(PASTE, ["body", ""])  # words are left to whoever wants them
    assert tab.counts() == [1, 1]


CAMERA = """() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 48];
    const context = canvas.getContext("2d");
    let turn = 0;
    setInterval(() => {
        context.fillStyle = `hsl(${turn += 20} 80% 50%)`;
        context.fillRect(0, 0, 64, 48);
    }, 30);
    navigator.mediaDevices.getUserMedia = async () => globalThis.stream = canvas.captureStream(30);
}"""


def test_pictures_are_taken_with_the_camera(tab):
    page = tab.page
    page.evaluate(CAMERA)
    camera = page.get_by_role("button", name="Camera", exact=True)
    camera.first.click()
    page.wait_for_function("document.querySelector('video').videoWidth > 0")
    tab.press("Take a picture for first")
    expect(page.locator(".tlx-photos-camera").first).to_contain_text("Picture 1 is in “first”")
    tab.press("Take 10 pictures in 5 seconds for first")
    expect(page.locator(".tlx-photos-camera").first).to_contain_text("Picture 11 is in “first”")
    assert tab.counts() == [11, 0]
    assert np.ptp(tab.pixels(3).reshape(-1, 3), axis=0).max() < 20  # one colour fills the square
    tab.press("Undo")
    assert tab.counts() == [1, 0]  # a series is one step
    camera.first.click()  # that of the other class: one camera at a time
    expect(page.get_by_role("button", name="Close the camera")).to_have_count(1)
    tab.press("Close the camera")
    assert page.evaluate("stream.getTracks().every((track) => track.readyState === 'ended')")


NO_CAMERA = {
    "throw new DOMException('', 'NotAllowedError')": "The camera was not allowed. Allow it where the browser asks",
    "throw new DOMException('', 'NotFoundError')": "No camera was found. Add pictures as files instead.",
    "throw new DOMException('', 'NotReadableError')": "The camera is used by another program",
    "throw new TypeError('odd')": "The camera did not start: odd. Add pictures as files instead.",
}


def test_without_a_camera_the_page_says_why(tab):
    page = tab.page
    said = page.locator(".tlx-photos-camera").first
    camera = page.get_by_role("button", name="Camera", exact=True).first
    for thrown, message in NO_CAMERA.items():
        page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = async () => {{ {thrown}; }}; }}")
        camera.click()
        expect(said).to_contain_text(message)
    page.evaluate("() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    camera.click()
    expect(said).to_contain_text("only to pages from a server: https://, or localhost")
    expect(page.get_by_role("button", name="Close the camera")).to_have_count(0)


# --- Pictures go, move and stay --------------------------------------------------------------------------------------


def test_choose_delete_move_and_undo(tab):
    page = tab.page
    tab.examples()
    assert tab.counts() == [12, 12, 12]
    glass = tab.options("glass")
    glass.nth(1).click()
    glass.nth(3).click(modifiers=["Shift"])
    assert [glass.nth(i).get_attribute("aria-selected") for i in range(5)] == ["false", "true", "true", "true", "false"]
    page.get_by_label("Class to move the chosen pictures of glass to").select_option("metal")
    tab.press("Move the chosen pictures of glass")
    expect(tab.said).to_contain_text("3 pictures moved to “metal”")
    assert tab.counts() == [12, 9, 15]
    tab.options("metal").first.click()
    tab.press("Delete the chosen pictures of metal")
    expect(tab.said).to_contain_text("1 picture deleted. Undo brings it back")
    assert tab.counts() == [12, 9, 14]
    tab.press("Remove class cardboard")
    assert tab.names() == ["glass", "metal"]
    assert tab.counts() == [9, 14]
    expect(page.get_by_label("Remove class glass")).to_be_disabled()  # two classes have to be left
    for counts in ([12, 9, 14], [12, 9, 15], [12, 12, 12], [0, 0]):
        tab.press("Undo")
        assert tab.counts() == counts
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()


def test_pictures_are_dragged_to_another_class(tab):
    tab.examples()
    target = tab.page.locator(".tlx-photos-collect .tlx-class").nth(2)
    tab.options("cardboard").nth(4).drag_to(target)
    expect(tab.said).to_contain_text("1 picture moved to “metal”")
    assert tab.counts() == [11, 12, 13]


def test_everything_works_from_the_keyboard(tab):
    page = tab.page
    tab.examples()
    tab.options("glass").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    selected = [each.get_attribute("aria-selected") for each in tab.options("glass").all()]
    assert [i for i, each in enumerate(selected) if each == "true"] == [1, 11]
    page.keyboard.press("Delete")
    assert tab.counts() == [12, 10, 12]
    assert (
        page.evaluate("document.activeElement.closest('[role=listbox]').getAttribute('aria-label')")
        == "Pictures of glass"
    )
    page.keyboard.press("Control+a")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    at = page.evaluate("[...document.activeElement.parentNode.children].indexOf(document.activeElement)")
    first = tab.options("glass").first.bounding_box()["y"]
    assert (
        tab.options("glass").nth(at).bounding_box()["y"] > first == tab.options("glass").nth(at - 1).bounding_box()["y"]
    )
    page.keyboard.press("Control+a")
    page.keyboard.press("Backspace")
    assert tab.counts() == [12, 0, 12]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Add image files to glass"
    tabbed = page.locator(".tlx-photos-thumb[tabindex='0']")
    assert tabbed.count() == 2  # one stop for the pictures of a class, not one for each


def test_keys_do_not_reach_what_is_around(tab):
    tab.page.evaluate(
        "() => { globalThis.heard = []; document.addEventListener('keydown', ({ key }) => heard.push(key)); }"
    )
    tab.examples()
    tab.options("glass").first.press("a")
    tab.options("glass").first.press("ArrowRight")
    assert tab.page.evaluate("heard") == []


def test_what_survives_a_reload(tab):
    page = tab.page
    tab.examples()
    tab.rename(2, "window")
    tab.options("metal").first.click()
    tab.press("Delete the chosen pictures of metal")
    before = tab.pixels(20)
    tab.kept()
    page.reload()
    expect(tab.said).to_contain_text("35 pictures of your last visit are here again")
    assert tab.names() == ["cardboard", "window", "metal"]
    assert tab.counts() == [12, 12, 11]
    assert np.array_equal(tab.pixels(20), before)
    tab.choose("Add image files to metal", ("more.png", encoded(scene())))
    expect(tab.said).to_contain_text("1 picture added")
    tab.kept()
    page.reload()
    expect(tab.said).to_contain_text("36 pictures of your last visit")
    tab.press("Clear all")
    assert tab.counts() == [0, 0]
    tab.press("Undo")
    assert tab.counts() == [12, 12, 12]
    tab.press("Clear all")
    tab.kept()
    page.reload()
    expect(page.locator("[inert]")).to_have_count(0)
    assert tab.counts() == [0, 0]
    assert tab.names() == ["first", "second"]


def test_each_page_keeps_its_own(tab, address):
    tab.examples()
    tab.kept()
    other = tab.page.context.new_page()
    beside = Path(address.removeprefix("file://")).with_name("beside.html")
    shutil.copy(beside.with_name("photographs.html"), beside)
    for place, message in ((f"{address}?again#part", "36 pictures of your last visit"), (beside.as_uri(), "")):
        other.goto(place)
        expect(other.locator("[inert]")).to_have_count(0)
        expect(other.get_by_role("status").nth(0)).to_contain_text(message)
    assert other.get_by_role("option").count() == 0
    other.close()


def test_two_open_pages_do_not_mix_their_pictures(tab, address):
    tab.examples()
    tab.kept()
    second = tab.page.context.new_page()
    second.goto(address)
    expect(second.get_by_role("status").nth(0)).to_contain_text("36 pictures of your last visit")
    for page, name in ((tab.page, "glass"), (second, "metal")):
        page.get_by_role("listbox", name=f"Pictures of {name}").get_by_role("option").first.click()
        page.get_by_role("button", name=f"Delete the chosen pictures of {name}").click()
    expect(second.locator("[data-kept=elsewhere]")).to_contain_text("also open elsewhere in this browser")
    second.close()
    tab.page.reload()
    expect(tab.said).to_contain_text("35 pictures of your last visit")
    assert tab.counts() == [12, 12, 11]  # all of the page that was changed last


def test_a_browser_that_keeps_nothing_says_so(open_tab):
    tab = open_tab()
    tab.page.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };")
    tab.page.reload()
    expect(tab.page.locator("[data-kept=no]")).to_contain_text("This browser keeps nothing for this page. Export")
    tab.examples()
    assert tab.counts() == [12, 12, 12]
    full = open_tab()
    full.page.evaluate(
        "() => { IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }; }"
    )
    full.examples()
    expect(full.page.locator("[data-kept=no]")).to_be_visible()
    assert full.counts() == [12, 12, 12]
    assert tab.wrong == full.wrong == []


# --- Taking along and coming back ------------------------------------------------------------------------------------


def test_what_is_exported_is_a_folder_that_python_reads(tab, tmp_path):
    tab.examples()
    shown = [tab.pixels(i) for i in range(36)]
    tab.export(tmp_path / "photographs")
    found = data.from_folder(tmp_path / "photographs", size=SIDE)
    assert found.class_names == photographing.KINDS
    assert found.images.shape == (36, SIDE, SIDE, 3)
    ours = {image.tobytes() for image in shown}
    assert {image.tobytes() for image in found.images} == ours  # pixel for pixel
    assert len(ours) == 36
    names = [each["name"] for each in photographing.examples()["pictures"]]
    assert sorted(Path(file).stem for file in found.files) == sorted(names)


NAMES = ("<b>bold</b> / 😀", "test", "Cat", "cat", "CON")


def test_what_was_exported_comes_back_the_same(tab, tmp_path):
    for number, name in enumerate(NAMES, 1):
        if number > 2:
            tab.press("Another class")
        tab.rename(number, name)
        pictures = [("same.png", encoded(scene(10 * number + i))) for i in range(3)]
        tab.choose(f"Add image files to {name}", *pictures)
        expect(tab.said).to_contain_text(f"3 pictures added to “{name}”")
    assert tab.page.locator(".tlx b").count() == 0
    content = tab.export(tmp_path / "photographs")
    folders = sorted(path.name for path in (tmp_path / "photographs").iterdir())
    assert folders == sorted(["_b_bold__b_ _ 😀", "test_", "Cat", "cat (2)", "CON_"])
    assert data.from_folder(tmp_path / "photographs", size=SIDE).images.shape[0] == 15
    shown = [tab.pixels(i) for i in range(15)]
    tab.press("Clear all")
    tab.choose("Import zip …", ("photographs.zip", content))
    expect(tab.said).to_contain_text("3 pictures added to “test”")
    assert tab.names() == list(NAMES)
    assert tab.counts() == [3] * 5
    assert all(np.array_equal(tab.pixels(i), each) for i, each in enumerate(shown))
    tab.press("Clear all")
    tab.choose("Folder …", tmp_path / "photographs")
    expect(tab.said).to_contain_text("3 pictures added to “Cat”")
    assert sorted(tab.names()) == folders


def test_a_zip_of_other_programs_is_read(tab, tmp_path):
    photos = fill(tmp_path / "photos", cup=2, plate=2)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"{"
        archive.writestr("photos/", b"")
        archive.writestr("__MACOSX/photos/cup/._0.png", b"x")
        for path in sorted(photos.rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))
    tab.choose("Import zip …", ("photos.zip", file.getvalue()))
    expect(tab.said).to_have_text("2 pictures added to “cup”, 2 pictures added to “plate”.")
    drop(tab.page, ".tlx-class", photos / "cup" / "0.png")
    expect(tab.said).to_contain_text("1 picture added to “cup”")


GOOD = io.BytesIO()
with zipfile.ZipFile(GOOD, "w") as written:
    written.writestr("a/1.png", encoded(scene()))
GOOD = GOOD.getvalue()


DAMAGED = {
    b"": "it is no zip archive, or its end is missing",
    b"text" * 100: "it is no zip archive",
    GOOD[:-30]: "it is no zip archive",
    GOOD[900:]: "damaged",
}


def test_a_damaged_archive_is_refused_and_nothing_is_lost(tab):
    tab.examples()
    for number, (content, message) in enumerate(DAMAGED.items()):
        tab.choose("Import zip …", (f"mine{number}.zip", content))
        expect(tab.said).to_contain_text(f"mine{number}.zip was not imported: ")
        expect(tab.said).to_contain_text(message)
        expect(tab.said).to_contain_text("Your pictures are as they were")
    assert tab.counts() == [12, 12, 12]


def test_of_an_archive_with_one_damaged_file_the_others_are_taken(tab):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/1.png", encoded(scene(1)))
        archive.writestr("a/2.png", encoded(scene(2)))
    broken = bytearray(file.getvalue())
    broken[200:240] = bytes(40)
    tab.choose("Import zip …", ("mine.zip", bytes(broken)))
    expect(tab.said).to_have_text("1 picture added to “a”. 1.png cannot be read: a file in it is damaged.")


def test_nothing_to_export_is_said(tab):
    tab.press("Export zip")
    expect(tab.said).to_contain_text("There is nothing to export yet")
    tab.choose("Add image files to first", ("one.png", encoded(scene())))
    expect(tab.said).to_contain_text("1 picture added")
    with tab.page.expect_download():
        tab.press("Export zip")
    expect(tab.said).to_contain_text("data.from_folder will ask for 3 pictures of each class; “first” has 1.")


# --- Bad input -------------------------------------------------------------------------------------------------------


def test_files_that_are_no_pictures_are_named_and_the_others_are_taken(tab):
    good = encoded(scene(), "JPEG")
    files = [
        ("good.jpg", good),
        ("notes.txt", b"no image"),
        ("empty.jpg", b""),
        ("IMG_1.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)),
        ("renamed.jpg", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(400)),
        ("photo.NEF", b"II*\0" + bytes(400)),
        ("cut.png", encoded(scene())[:400]),
        ("cut.jpg", good[:300]),
        ("page.svg", b"<svg"),
        ("huge.png", bytes(41_000_000)),
        ("wide.png", encoded(Image.new("1", (16000, 8000)))),
    ]
    messages = {
        "notes.txt": "notes.txt is no picture that this browser can read. JPEG, PNG and WebP work.",
        "empty.jpg": "empty.jpg is empty. Copy it again.",
        "IMG_1.HEIC": "IMG_1.HEIC is HEIC, which this browser cannot read. On an iPhone choose Settings, Camera",
        "renamed.jpg": "renamed.jpg is HEIC",
        "photo.NEF": "photo.NEF is a camera's raw file. Save it as JPEG",
        "cut.png": "cut.png is damaged and cannot be read to its end",
        "cut.jpg": "cut.jpg is damaged and cannot be read to its end",
        "page.svg": "page.svg is no picture",
        "huge.png": "huge.png has 41 MB; at most 40 are read. Make it smaller first.",
        "wide.png": "wide.png has 128 million pixels; at most 120 are read",
    }
    for start in range(1, len(files), 3):
        tab.choose("Add image files to first", *files[start : start + 3])
        for name, _ in files[start : start + 3]:
            expect(tab.said).to_contain_text(messages[name])
        expect(tab.said).to_contain_text("No picture was added.")
    tab.choose("Add image files to first", *files[:6])
    expect(tab.said).to_contain_text("1 picture added to “first”.")
    expect(tab.said).to_contain_text("So it is with 2 more files.")
    assert tab.counts() == [1, 0]


def test_photographs_of_phones_are_made_small_at_once(tab, tmp_path):
    path = tmp_path / "phone.jpg"
    path.write_bytes(encoded(scene(6, (4000, 3000)), "JPEG", quality=80))
    tab.choose("Add image files to first", *[("phone.jpg", path.read_bytes())] * 2)
    expect(tab.said).to_contain_text("2 pictures added")
    theirs = photographs.read(path, SIDE, SIDE).pixels.astype(int)
    assert np.abs(tab.pixels() - theirs).mean() < ALIKE
    assert tab.page.locator("canvas[width='128']").count() == 2
    expect(tab.page.locator(".tlx-photos-collect .tlx-note")).to_contain_text("2 pictures, marked ≈, are the same")


GAPS = """() => {
    globalThis.gaps = [];
    let last = performance.now();
    const tick = () => {
        gaps.push(performance.now() - last);
        last = performance.now();
        setTimeout(tick);
    };
    tick();
}"""


def test_hundreds_of_pictures_are_read_while_the_page_answers(tab):
    files = [(f"{i}.jpg", encoded(scene(i, (400, 300)), "JPEG")) for i in range(500)]
    tab.page.evaluate(GAPS)
    tab.choose("Add image files to first", *files)
    expect(tab.page.get_by_text("of 500 files read")).to_be_visible(timeout=MINUTE)
    tab.page.wait_for_function("document.querySelectorAll('.tlx-photos-thumb').length > 20", timeout=MINUTE)
    tab.rename(1, "many")  # meanwhile
    tab.choose("Add image files to second", ("other.png", encoded(scene(999))))  # waits for its turn
    expect(tab.said).to_contain_text("1 picture added to “second”", timeout=4 * MINUTE)
    assert tab.counts() == [500, 1]
    assert tab.names() == ["many", "second"]
    gaps = tab.page.evaluate("gaps")
    print(f"\nlongest without an answer: {max(gaps):.0f} ms, of {sum(gaps) / 1000:.1f} s")
    assert np.quantile(gaps, 0.99) < 500
    tab.kept()
    tab.page.reload()
    expect(tab.said).to_contain_text("501 pictures of your last visit", timeout=MINUTE)


def test_reading_can_be_stopped(tab):
    files = [(f"{i}.jpg", encoded(scene(i, (1600, 1200)), "JPEG")) for i in range(60)]
    tab.choose("Add image files to first", *files)
    tab.page.wait_for_function("document.querySelectorAll('.tlx-photos-thumb').length > 2", timeout=MINUTE)
    tab.press("Stop reading")
    expect(tab.said).to_contain_text("Stopped: ")
    count = tab.counts()[0]
    assert 2 < count < 60
    expect(tab.said).to_contain_text(f"{count} pictures added to “first”. Stopped: {60 - count} files were not read.")
    tab.press("Undo")
    assert tab.counts() == [0, 0]
    tab.choose("Add image files to first", files[0])
    expect(tab.said).to_contain_text("1 picture added to “first”")


def test_the_page_holds_a_thousand_pictures_and_says_what_found_no_room(tab):
    pictures = [(f"{i}.png", encoded(Image.new("RGB", (8, 8), (i % 256, i // 256 * 40, 90)))) for i in range(1003)]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in pictures:
            archive.writestr(f"plain/{name}", content)
    tab.choose("Import zip …", ("many.zip", file.getvalue()))
    expect(tab.said).to_contain_text("1,000 pictures added to “plain”", timeout=5 * MINUTE)
    expect(tab.said).to_contain_text("The page holds 1000 pictures: 3 files found no room.")


def test_pictures_that_are_alike_are_marked(tab):
    one, other = encoded(scene(1)), encoded(scene(2))
    tab.choose("Add image files to first", ("one.png", one), ("again.png", one), ("other.png", other))
    note = tab.page.locator(".tlx-photos-collect .tlx-note")
    expect(note).to_contain_text("2 pictures, marked ≈, are the same as others, or nearly")
    expect(note).to_contain_text("They stay together when pictures are held back")
    labels = [each.get_attribute("aria-label") for each in tab.options("first").all()]
    assert labels == ["picture 1, one.png, like 1 other", "picture 2, again.png, like 1 other", "picture 3, other.png"]
    tab.choose("Add image files to second", ("third.jpg", encoded(scene(1).point(lambda v: 0.9 * v + 9), "JPEG")))
    expect(note).to_contain_text("Some of them are in two classes: one of the labels must be wrong.")
    tab.press("Keep one of each")
    assert tab.counts() == [2, 1]  # one in each class
    tab.press("Undo")
    assert tab.counts() == [3, 1]


def test_names_that_are_empty_equal_or_markup(tab):
    page = tab.page
    tab.examples()
    name = '<img src=x onerror="alert(1)">'
    tab.rename(1, name)
    expect(page.get_by_role("button", name=f"Remove class {name}")).to_be_visible()
    assert page.locator(".tlx img").count() == 0
    tab.rename(1, "  ")
    card = page.locator(".tlx-photos-collect .tlx-class").first
    expect(card).to_contain_text("Give it a name.")
    assert page.get_by_label("Name of class 1").get_attribute("aria-invalid") == "true"
    expect(page.get_by_role("button", name="Remove class class 1")).to_be_visible()
    tab.rename(1, "glass")
    expect(card).to_contain_text("Another class has this name, too.")
    tab.rename(1, "  a   b ")
    assert tab.names() == ["a b", "glass", "metal"]
    expect(card).not_to_contain_text("name")


# --- For everybody ---------------------------------------------------------------------------------------------------


def test_nothing_is_asked_for_and_the_page_says_how_to_see_it(tab):
    tab.examples()
    summary = tab.page.get_by_text("Nothing leaves this page. How can you see that?")
    summary.click()
    expect(tab.page.get_by_text("choose Network, and add a picture: no request appears")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_how_it_looks(open_tab, width, dark):
    tab = open_tab(width)
    if dark:
        tab.page.evaluate(IN_THE_DARK)
    tab.examples()
    tab.options("glass").nth(2).click()
    tab.choose("Add image files to metal", ("one.png", encoded(scene(1))), ("again.png", encoded(scene(1))))
    expect(tab.said).to_contain_text("2 pictures added")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    SHOTS.mkdir(parents=True, exist_ok=True)
    part = tab.page.locator(".tlx-photos-collect")
    part.screenshot(path=SHOTS / f"photographs_collect_{width}_{'dark' if dark else 'light'}.png")
    assert tab.wrong == []


def test_printed_the_pictures_are_there_and_the_buttons_are_not(tab):
    tab.examples()
    tab.page.emulate_media(media="print")
    expect(tab.page.get_by_role("button", name="Use the examples")).to_be_hidden()
    expect(tab.options("glass").first).to_be_visible()
    assert tab.page.locator(".tlx-photos-thumbs").first.evaluate("node => getComputedStyle(node).maxHeight") == "none"


def test_the_page_is_accessible(tab):
    from axe_playwright_python.sync_playwright import Axe

    tab.examples()
    tab.options("glass").nth(2).click()
    found = Axe().run(tab.page, ".tlx-photos-collect")
    assert [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]] == []
