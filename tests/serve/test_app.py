import io
import struct
import tempfile
import zlib

import numpy as np
import pytest
import torch
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

import srtod
from srtod.inference import memory
from srtod.inference.ensemble import Ensemble
from srtod.inference.inputs import to_tensor
from srtod.inference.predict import load_detector
from srtod.inference.speed import for_inference
from srtod.serve import Limits, serve
from srtod.serve.app import create_app
from srtod.serve.served import Served


def png_header(width, height):
    """A file that says to be a PNG of that size."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\x00\x00\x00\x00IDAT"


def small_file_of_many_pixels():
    stream = io.BytesIO()
    Image.new("RGB", (2000, 1000)).save(stream, "PNG")
    return stream.getvalue()


def send(client, path, data, name="photo.png", kind="image/png"):
    return client.post(path, files={"file": (name, data, kind)})


def test_detect_answers_with_a_coco_file(client, planted, picture):
    answer = send(client(planted), "/detect", picture(), name="../day 1/photo.png")
    assert answer.status_code == 200
    coco = answer.json()
    assert coco["images"] == [{"id": 1, "file_name": "photo.png", "width": 64, "height": 48}]
    assert coco["categories"] == [{"id": 1, "name": "drone"}, {"id": 2, "name": "bird"}]
    first, *_, last = coco["annotations"]
    assert first == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [10.0, 12.0, 6.0, 5.0],
        "area": 30.0,
        "iscrowd": 0,
        "score": 0.9,
    }
    assert (last["category_id"], last["bbox"]) == (2, [0.0, 24.0, 64.0, 24.0])


def test_detect_leaves_out_what_scores_less(client, planted, picture):
    answer = send(client(planted), "/detect?score_threshold=0.5", picture())
    assert [own["score"] for own in answer.json()["annotations"]] == [0.9, 0.6]


def test_every_kind_of_image_is_read(client, planted, picture):
    asked = client(planted)
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "JPEG2000"):
        data = picture(40, 30, kind)
        answer = send(asked, "/detect", data, name="x", kind="application/octet-stream")
        assert answer.json()["images"][0]["width"] == 40, kind


def test_uploads_of_any_size_stay_in_memory(client, planted, picture, monkeypatch):
    def touched(*_args, **_options):
        pytest.fail("an upload went to the disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", touched)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", touched)
    data = picture(800, 700)
    assert len(data) > 1_500_000
    assert send(client(planted), "/detect", data).status_code == 200
    assert planted.sizes == [(800, 700)]


def test_it_says_that_it_is_well(client, planted):
    answer = client(planted).get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_too_little_memory_is_told_in_a_sentence(client, planted, picture, monkeypatch):
    monkeypatch.setattr(type(planted), "__call__", lambda self, images: torch.empty(10**15))
    answer = send(client(planted), "/detect", picture())
    assert answer.status_code == 413
    assert answer.json() == {"detail": "this image needs more memory than the server has; send a smaller one"}


@pytest.mark.parametrize("free", [10**6, 10**12])
def test_by_default_only_images_that_fit_into_memory_are_taken(planted, picture, monkeypatch, free):
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    asked = TestClient(create_app(planted))
    assert asked.get("/about").json()["max_pixels"] == (25_000_000 if free > 10**9 else 100_000)
    assert send(asked, "/detect", picture(400, 300)).status_code == (200 if free > 10**9 else 413)


def test_both_sides_are_computed_in_one_precision(detector):
    served = Served(for_inference(detector, precision="bf16"))
    assert served._plain is not None and served._plain.precision == "bf16"


def test_what_is_slow_once_is_done_before_the_first_request(detector, monkeypatch):
    seen = []
    monkeypatch.setattr(Served, "detect", lambda self, image, *_, **__: seen.append("detect"))
    monkeypatch.setattr(Served, "maps", lambda self, image: seen.append("maps"))
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: seen.append("open"))
    serve(detector, port=0, limits=Limits())
    assert seen == ["detect", "maps", "open"]


@pytest.mark.parametrize(
    ("data", "kind", "status", "sentence"),
    [
        (b"no image", "image/png", 422, "photo.png: not an image"),
        (b"", "image/png", 422, "photo.png: empty file"),
        ("half", "image/png", 422, "photo.png: damaged image"),
        (b"text", "text/plain", 422, "photo.png: not an image"),
        (b"x" * 300_000, "image/png", 413, "too large; this server takes 0.2 MB"),
        ("wide", "image/png", 413, "2000 x 1000 pixels; this server takes 1 million"),
        (png_header(500_000, 1), "image/png", 413, "500000 x 1 pixels; this server takes 1 million"),
        (png_header(60_000, 60_000), "image/png", 413, "decompression bomb"),
    ],
    ids=["text", "empty", "half", "other-text", "large-file", "many-pixels", "thin", "bomb"],
)
def test_bad_files_are_refused_in_a_sentence(client, planted, picture, data, kind, status, sentence):
    data = {"half": picture()[:2000], "wide": small_file_of_many_pixels()}.get(data, data)
    for path in ("/detect", "/maps", "/picture"):
        answer = send(client(planted, upload_megabytes=0.2, megapixels=1), path, data, kind=kind)
        assert answer.status_code == status
        assert list(answer.json()) == ["detail"] and sentence in answer.json()["detail"]
        assert tempfile.gettempdir() not in answer.text
    assert planted.sizes == []


@pytest.mark.parametrize(
    ("request_", "status", "sentence"),
    [
        ({"json": {}}, 415, "multipart/form-data"),
        ({"content": b"bytes", "headers": {"content-type": "image/png"}}, 415, "multipart/form-data"),
        ({"files": {"image": b"x"}}, 422, "file: Field required"),
        ({"files": [("file", b"x"), ("file", b"y")]}, 422, "file: one a request"),
        ({"files": {"file": b"x"}, "data": {"score_threshold": "1"}}, 422, "as ?score_threshold=..."),
        ({"files": {"file": b"x"}, "params": {"score_threshold": "7"}}, 422, "score_threshold: "),
        ({"files": {"file": b"x"}, "params": {"enhancement": "perhaps"}}, 422, "enhancement: "),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(client, planted, request_, status, sentence):
    answer = client(planted).post("/detect", **request_)
    assert answer.status_code == status and sentence in answer.json()["detail"]


def test_a_failure_inside_tells_nothing_but_that_it_failed(client, picture, caplog):
    class Broken:
        classes = ("drone",)
        device = torch.device("cpu")

        def __call__(self, images):
            raise RuntimeError("/home/somebody/secret.safetensors")

    answer = send(client(Broken()), "/detect", picture())
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.json() == {"detail": "the server failed on this request; its log says why"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret.safetensors" in caplog.text


def test_without_self_reconstruction_there_are_no_maps(client, planted, plain_detector, picture):
    of_each = (
        (planted, "exported program"),
        (plain_detector, "without self-reconstruction"),
        (Ensemble([plain_detector, plain_detector]), "detectors are fused"),
    )
    for finder, words in of_each:
        asked = client(finder)
        about = asked.get("/about").json()
        assert not about["has_maps"] and words in about["no_maps_because"]
        for path in ("/maps", "/detect?enhancement=false"):
            answer = send(asked, path, picture())
            assert answer.status_code == 422 and words in answer.json()["detail"]


def test_maps_that_are_only_looked_at_leave_no_enhancement_to_switch_off(client, picture):
    options = {"backbone": "test_resnet", "pyramid_channels": 16, "box_channels": 16}
    detector = srtod.build_detector("faster-rcnn", num_classes=1, self_reconstruction=True, **options).eval()
    asked = client(detector)
    about = asked.get("/about").json()
    assert about["has_maps"] and not about["has_enhancement"]
    assert send(asked, "/maps", picture()).status_code == 200
    answer = send(asked, "/detect?enhancement=false", picture())
    assert answer.status_code == 422 and "no enhancement to switch off" in answer.json()["detail"]


def test_about_tells_what_is_loaded_and_taken(client, detector):
    about = client(detector, upload_megabytes=2, megapixels=3).get("/about").json()
    assert about["model"] == "faster-rcnn + self-reconstruction, test_resnet" and about["has_maps"]
    assert about["has_enhancement"]
    assert [own["name"] for own in about["classes"]] == ["drone", "bird"]
    assert (about["max_upload_bytes"], about["max_pixels"]) == (2_000_000, 3_000_000)


def test_the_enhancement_can_be_switched_off(client, detector, picture):
    asked, data = client(detector), picture()
    on, off = (
        send(asked, f"/detect?enhancement={word}", data).json()["annotations"] for word in ("true", "false")
    )
    assert on != off
    image = torch.rand(3, 48, 64)
    plain = srtod.Detector.sharing(detector, self_reconstruction=False)
    with torch.no_grad():
        batch = detector.preprocess([image])
        expected = detector.head.detect(detector.pyramid(batch.normalised), batch.size_table)
        torch.testing.assert_close(plain([image])[0]["boxes"], expected.boxes)
    assert plain.head is detector.head and detector.self_reconstruction is not None


def test_weights_made_fast_can_be_compared_too(client, detector, picture, tmp_path):
    detector.save(tmp_path / "w.safetensors")
    asked = client(load_detector(tmp_path / "w.safetensors", device="cpu"))
    assert send(asked, "/detect?enhancement=false", picture()).status_code == 200
    assert len(send(asked, "/maps", picture()).json()["layers"]) == 5


def test_the_picture_is_what_the_detector_sees(client, planted, picture, tmp_path):
    data = picture(30, 20, "TIFF")
    answer = send(client(planted), "/picture", data, name="a.tif", kind="image/tiff")
    assert answer.headers["content-type"] == "image/png"
    (tmp_path / "a.png").write_bytes(answer.content)
    (tmp_path / "a.tif").write_bytes(data)
    seen = [np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "a.tif")]
    np.testing.assert_array_equal(*seen)
    assert to_tensor(seen[0].copy(), torch.device("cpu")).shape == (3, 20, 30)


def test_page_and_description_need_nothing_from_elsewhere(client, planted):
    from srtod.serve.app import PAGE

    asked = client(planted)
    for path in ("/", "/docs", "/openapi.json", *(f"/page/{own.name}" for own in PAGE.iterdir())):
        answer = asked.get(path)
        assert answer.status_code == 200
        elsewhere = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in elsewhere and "https://" not in elsewhere
    assert {"/detect", "/maps", "/picture", "/about", "/health"} == set(
        asked.get("/openapi.json").json()["paths"]
    )
    assert asked.get("/page/../app.py").status_code == 404
    assert asked.get("/page/%2e%2e/app.py").status_code == 404
