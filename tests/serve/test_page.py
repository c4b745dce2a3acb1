"""The page as people use it, in a real browser."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright")
from playwright.sync_api import expect

expect.set_options(timeout=20_000)  # on busy machines

GREY, WHITE = 96, 255
ORANGE = (230, 159, 0)
"""The colour of the first class."""


def scene(kind="PNG", side=64):
    """A grey image with a white drone of 6 x 5 px where the planted finder finds one."""
    pixels = np.full((48, side, 3), GREY, np.uint8)
    pixels[12:17, 10:16] = WHITE
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def file(name="photo.png", kind="PNG"):
    return {"name": name, "mimeType": f"image/{kind.lower()}", "buffer": scene(kind)}


@pytest.fixture
def open_page(browser, serving, request):
    """Open the page of a finder; at the end nothing went wrong in it and nothing came from elsewhere."""
    wrong, asked = [], []

    def start(finder, **limits):
        running = serving(finder, **limits)
        address = running.__enter__()
        request.addfinalizer(lambda: running.__exit__(None, None, None))
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        request.addfinalizer(page.close)
        page.set_default_timeout(20_000)
        page.emulate_media(reduced_motion="reduce")
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda sent: asked.append(sent.url))
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        start.address = address
        return page

    yield start
    assert wrong == []
    assert [url for url in asked if not url.startswith((start.address, "blob:", "data:"))] == []


def drop(page, name="photo.png", data=None):
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/png" }));
            return transfer;
        }""",
        [name, base64.b64encode(data or scene()).decode()],
    )
    page.dispatch_event("#stage", "drop", {"dataTransfer": transfer})


def canvas(page, side="found"):
    """What a pane shows: ``[H, W, 4]``."""
    page.wait_for_timeout(100)  # the next frame draws
    url = page.locator(f"#pane-{side} canvas").evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))


def pixels_of(picture, colour):
    return int((picture[..., :3] == colour).all(axis=2).sum())


def put_score(page, value):
    page.locator("#score").fill(str(value))


def saved(page, name):
    with page.expect_download() as download:
        page.click(f"[data-save={name}]")
    return download.value


def test_a_dropped_image_is_looked_at_and_filtered(open_page, planted):
    page = open_page(planted)
    expect(page.get_by_text("Drop an image or a folder")).to_be_visible()
    drop(page)
    expect(page.locator("#count")).to_have_text("2 of 3")
    expect(page.get_by_role("option")).to_have_count(2)
    expect(page.get_by_role("option").first).to_contain_text("drone")
    both = pixels_of(canvas(page), ORANGE)
    assert both > 50
    put_score(page, 0.7)
    expect(page.locator("#count")).to_have_text("1 of 3")
    assert 0 < pixels_of(canvas(page), ORANGE) < both
    put_score(page, 0)
    expect(page.locator("#count")).to_have_text("3 of 3")
    page.get_by_label("bird").uncheck()
    expect(page.locator("#count")).to_have_text("2 of 3")
    page.get_by_label("drone").uncheck()
    expect(page.locator("#count")).to_have_text("0 of 3")
    assert pixels_of(canvas(page), ORANGE) == 0


def test_what_is_shown_can_be_downloaded(open_page, planted, tmp_path):
    page = open_page(planted)
    drop(page, "a photo.png")
    put_score(page, 0.7)
    expect(page.locator("#count")).to_have_text("1 of 3")
    assert json.loads(saved(page, "json").path().read_text()) == [
        {
            "image_id": 1,
            "file_name": "a photo.png",
            "category_id": 1,
            "category_name": "drone",
            "bbox": [10, 12, 6, 5],
            "score": 0.9,
        }
    ]
    coco = json.loads(saved(page, "coco").path().read_text())
    assert coco["images"] == [{"id": 1, "file_name": "a photo.png", "width": 64, "height": 48}]
    assert [own["bbox"] for own in coco["annotations"]] == [[10, 12, 6, 5]]
    picture = saved(page, "png")
    assert picture.suggested_filename == "a photo.png"
    shown = np.asarray(Image.open(picture.path()).convert("RGB"))
    assert shown.shape == (4 * 48, 4 * 64, 3) and pixels_of(shown, ORANGE) > 20


def test_everything_goes_by_keyboard(open_page, planted):
    page = open_page(planted)
    drop(page)
    expect(page.locator("#count")).to_have_text("2 of 3")
    zoom = page.locator("#zoom")
    page.keyboard.press("1")
    expect(zoom).to_have_text("100 %")
    page.keyboard.press("+")
    expect(zoom).to_have_text("150 %")
    page.keyboard.press("n")
    expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    expect(page.locator("#detections")).to_have_attribute("aria-activedescendant", "detection-1")
    expect(page.locator("#status")).to_have_text("drone, score 0.90, 6.0 by 5.0 pixels at 10, 12")
    page.locator("#detections").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.locator("[aria-selected=true]")).to_have_count(0)
    before = canvas(page)
    page.locator("#pane-found canvas").focus()
    page.keyboard.press("ArrowLeft")
    assert (canvas(page) != before).any()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("0")
    page.keyboard.press("b")
    assert pixels_of(canvas(page), ORANGE) == 0


def test_single_pixels_are_squares_without_smoothing(open_page, planted):
    page = open_page(planted)
    drop(page)
    expect(page.locator("#count")).to_have_text("2 of 3")
    for key in ("b", "1", "+", "+", "+", "+"):
        page.keyboard.press(key)
    height, width = canvas(page).shape[:2]
    inner = canvas(page)[height // 2 - 100 : height // 2 + 100, width // 2 - 140 : width // 2 + 140, 0]
    assert set(np.unique(inner)) == {GREY, WHITE}


def test_list_and_picture_are_linked(open_page, planted):
    page = open_page(planted)
    drop(page)
    expect(page.locator("#count")).to_have_text("2 of 3")
    second = page.get_by_role("option").nth(1)
    second.hover()
    assert pixels_of(canvas(page), (255, 255, 255)) > 60  # a lifted box has a white rim
    second.click()
    expect(second).to_have_attribute("aria-selected", "true")
    zoomed = int(page.locator("#zoom").inner_text().split()[0])
    assert zoomed > 1000
    page.keyboard.press("0")
    box = page.locator("#pane-found canvas").bounding_box()
    scale = min(box["width"] / 64, box["height"] / 48) * 0.98
    scale = min(scale, 8)
    x = box["x"] + box["width"] / 2 + (13 - 32) * scale
    y = box["y"] + box["height"] / 2 + (14.5 - 24) * scale
    page.mouse.click(x, y)
    expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    page.mouse.move(x, y)
    expect(page.locator("#readout")).to_contain_text("x 13  y 14  rgb 255 255 255")
    before = page.locator("#zoom").inner_text()
    page.mouse.wheel(0, -300)
    expect(page.locator("#zoom")).not_to_have_text(before)


def test_maps_lie_over_the_picture(open_page, detector):
    page = open_page(detector)
    drop(page)
    expect(page.locator("#count")).to_have_text(re.compile("of"))
    page.keyboard.press("b")
    plain = canvas(page)
    page.get_by_text("Difference", exact=True).click()
    expect(page.locator("#layer-text")).to_contain_text("Where the rebuilt image departs from the input")
    expect(page.locator("#scale")).to_be_visible()
    covered = canvas(page)
    assert (covered != plain).any()
    page.locator("#opacity").fill("0")
    np.testing.assert_array_equal(canvas(page), plain)
    page.locator("#opacity").fill("1")
    page.keyboard.press("o")
    expect(page.locator("#layer-text")).to_contain_text("It covers")
    assert (canvas(page) != plain).any()
    for _ in range(4):
        page.keyboard.press("o")
    np.testing.assert_array_equal(canvas(page), plain)


def test_both_sides_are_shown_and_told_apart(open_page, detector):
    page = open_page(detector)
    drop(page)
    put_score(page, 0.1)
    page.get_by_role("switch", name="Side by side, enhancement off").check()
    expect(page.locator("#pane-found figcaption")).to_contain_text(re.compile(r"With.*\d+ found, \d+ only"))
    expect(page.locator("#pane-plain figcaption")).to_contain_text(
        re.compile(r"Enhancement switched off \d+ found, \d+ only here")
    )
    expect(page.get_by_text("Not a detector that was trained without")).to_be_visible()
    assert canvas(page, "plain").shape == canvas(page).shape
    page.keyboard.press("c")
    expect(page.locator("#pane-plain")).to_be_hidden()


def test_a_detector_without_maps_says_so(open_page, planted):
    page = open_page(planted)
    expect(page.get_by_text("An exported program gives detections alone")).to_be_visible()
    expect(page.locator("#with-maps")).to_be_hidden()


def test_a_folder_is_looked_at_image_by_image(open_page, planted, tmp_path):
    for name in ("10.png", "2.png", "sub/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(scene())
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "3.png").write_bytes(b"no image")
    page = open_page(planted)
    page.set_input_files("#folder-input", tmp_path)
    images = page.locator("#strip button")
    expect(images).to_have_count(4)
    expect(page.locator("#strip .name")).to_have_text(["2.png", "3.png", "10.png", "1.png"])
    expect(page.locator("#strip .count")).to_have_text(["2", "!", "2", "2"])
    page.keyboard.press("]")
    expect(page.get_by_role("alert")).to_contain_text("3.png: ")
    expect(page.get_by_role("alert")).to_contain_text("not an image")
    page.keyboard.press("]")
    expect(page.locator("#strip [aria-current]")).to_contain_text("10.png")
    expect(page.get_by_role("alert")).to_be_hidden()
    names = {own["file_name"] for own in json.loads(saved(page, "json").path().read_text())}
    assert {name.removeprefix(f"{tmp_path.name}/") for name in names} == {"2.png", "10.png", "sub/1.png"}


def test_what_the_browser_cannot_show_comes_from_the_server(open_page, planted):
    page = open_page(planted)
    page.set_input_files("#images-input", [file("air.tif", "TIFF")])
    expect(page.locator("#count")).to_have_text("2 of 3")
    assert pixels_of(canvas(page), (GREY, GREY, GREY)) > 1000


def test_a_busy_server_is_asked_again(open_page, planted):
    page = open_page(planted)
    answers = [503]

    def busy_once(route):
        if answers and answers.pop():
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "busy"})
        else:
            route.continue_()

    page.route("**/detect*", busy_once)
    drop(page)
    expect(page.locator("#status")).to_contain_text("the server is busy; again in 1 s")
    expect(page.locator("#count")).to_have_text("2 of 3")


@pytest.mark.parametrize("wanted", ["Difference", "Side by side, enhancement off"])
def test_what_fails_beside_the_boxes_is_said_once_and_leaves_them(open_page, detector, tmp_path, wanted):
    page, asked = open_page(detector), []

    def fail(route):
        asked.append(route.request.url)
        route.fulfill(status=500, json={"detail": "it failed"})

    (tmp_path / "photo.png").write_bytes(scene())
    page.set_input_files("#images-input", tmp_path / "photo.png")
    put_score(page, 0)
    expect(page.locator("#count")).to_have_text(re.compile(r"^(\d+) of \1$"))
    for failing in ("**/maps", "**/detect?enhancement=false"):
        page.route(failing, fail)
    page.get_by_text(wanted, exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("photo.png: it failed")
    expect(page.locator("#pane-found canvas")).to_have_attribute("aria-label", re.compile("found"))
    page.unroute_all()
    put_score(page, 0.01)
    page.wait_for_timeout(100)
    assert len(asked) == 1
    page.set_input_files("#images-input", tmp_path / "photo.png")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#strip")).to_be_hidden()
    with page.expect_download() as download:
        page.click("[data-save=coco]")
    assert len(json.loads(download.value.path().read_text())["images"]) == 1


def test_a_file_that_is_too_large_is_not_sent(open_page, planted):
    page = open_page(planted, upload_megabytes=0.0001)
    drop(page)
    expect(page.get_by_role("alert")).to_contain_text("too large; this server takes 0.0001 MB")
    assert planted.sizes == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (900, 700), (1440, 900)])
def test_a_long_error_pushes_nothing_out_of_the_window(open_page, planted, width, height):
    page = open_page(planted, upload_megabytes=0.0001)
    page.set_viewport_size({"width": width, "height": height})
    drop(page, name="photograph" * 20 + ".png")
    expect(page.get_by_role("alert")).to_contain_text("too large")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for control in ("#open-images", "#score", "[data-save=json]"):
        box = page.locator(control).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_there_is_a_sample_to_try(open_page, planted):
    page = open_page(planted)
    page.get_by_role("button", name="Try a sample image").click()
    expect(page.get_by_role("option")).to_have_count(2)
    assert planted.sizes == [(1280, 720)]


def test_a_look_that_takes_long_says_so_and_can_be_cancelled(open_page, planted):
    planted.gate.clear()
    page = open_page(planted)
    drop(page)
    expect(page.locator("#status")).to_have_text(re.compile(r"looking … [1-9]\d* s"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("cancelled; open the image again")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    planted.gate.set()
    drop(page)
    expect(page.get_by_role("option")).to_have_count(2)


def test_the_description_of_the_routes_is_a_page_too(open_page, planted):
    page = open_page(planted)
    page.get_by_role("link", name="REST").click()
    expect(page.get_by_role("heading", name="POST /detect")).to_be_visible()
    expect(page.get_by_text("leave out what scores less")).to_be_visible()
    expect(page.locator("#CocoAnnotation")).to_contain_text("x, y, width, height in pixels of the image")


def test_colours_follow_the_system_or_the_button(open_page, planted):
    page = open_page(planted)

    def paper():
        return page.evaluate("() => getComputedStyle(document.body).backgroundColor")

    light = paper()
    page.emulate_media(color_scheme="dark")
    dark = paper()
    assert light != dark
    page.locator("#theme").click()
    expect(page.locator("#theme")).to_have_attribute("aria-label", "Colours: light")
    assert paper() == light
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert paper() == light
