"""Clients that take what is not theirs: time, connections and places of others."""

import io
import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from PIL import Image

from srtod.data.isolated import Answer, Question
from srtod.serve import connections, guard
from srtod.serve.guard import HEADERS


def post(address, data):
    return httpx2.post(f"{address}/detect", files={"file": ("x.png", data, "image/png")}, timeout=30)


def connect(address):
    where = urlsplit(address)
    return socket.create_connection((where.hostname, where.port), timeout=20)


def upload(data, *, length=None):
    """The bytes of a request that sends an image."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        + data
        + b"\r\n--x--\r\n"
    )
    head = (
        f"POST /detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {length or len(form)}\r\n\r\n"
    )
    return head.encode() + form


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def decoders():
    """Child processes that are alive."""
    children = psutil.Process().children()
    return {own.pid for own in children if own.status() != psutil.STATUS_ZOMBIE}


def large():
    stream = io.BytesIO()
    Image.effect_noise((4000, 3000), 90).convert("RGB").save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def test_a_file_that_decodes_too_long_is_killed_and_the_next_user_is_served(serving, planted, picture):
    with serving(planted, decode_seconds=60) as address:
        assert post(address, picture()).status_code == 200
    with serving(planted, decode_seconds=0.01) as address:
        before = decoders()
        answered = post(address, large())
        assert answered.status_code == 422
        assert "x.png: not decoded within 0.01 s" in answered.json()["detail"]
        wait_until(lambda: len(before - decoders()) == 1)
    assert planted.sizes == [(64, 48)]


def test_memory_beyond_that_of_images_is_refused_in_the_process_that_decodes(tmp_path):
    data = large()
    asking = json.dumps(Question("x.png", len(data), "auto", 25_000_000, 60)).encode() + b"\n" + data
    program = (
        "import sys; from srtod.data import isolated; isolated._BASE_BYTES = isolated._BYTES_A_PIXEL = 1; "
    )
    program += "isolated.serve(sys.stdin.buffer, sys.stdout.buffer)"
    done = subprocess.run([sys.executable, "-c", program], input=asking, capture_output=True, check=True)
    assert "more memory than an image" in Answer(*json.loads(done.stdout)).problem


def test_who_goes_is_not_waited_for(serving, planted, picture):
    planted.gate.clear()
    with serving(planted, waiting=2) as address, ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, address, picture(51))
        time.sleep(1)
        with connect(address) as gone:
            gone.sendall(upload(picture(52)))
            time.sleep(1)
        time.sleep(0.5)
        planted.gate.set()
        assert first.result().status_code == 200
        assert post(address, picture(53)).status_code == 200
    assert [width for width, _ in planted.sizes] == [51, 53]


def test_silent_connections_are_closed(serving, planted, monkeypatch):
    monkeypatch.setattr(connections, "SILENCE", 0.3)
    with serving(planted) as address, connect(address) as silent, connect(address) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert (silent.recv(10), half.recv(10)) == (b"", b"")


def test_silent_connections_lock_nobody_out(serving, planted):
    with serving(planted) as address, ExitStack() as stack:
        for _ in range(2 * connections.MOST):
            stack.enter_context(connect(address)).sendall(b"GET / HTTP/1.1\r\n")
        assert httpx2.get(f"{address}/health", timeout=10).status_code == 200


def test_slow_uploads_lock_nobody_out(serving, planted, picture, monkeypatch):
    monkeypatch.setattr(guard, "_PATIENCE", 0.1)
    with serving(planted, waiting=0) as address, ExitStack() as stack:
        slow = [stack.enter_context(connect(address)) for _ in range(5)]
        for own in slow:
            own.sendall(upload(b"", length=5000))
        time.sleep(0.5)
        assert post(address, picture()).status_code == 200
        assert b" 408 " in next(iter(slow)).recv(100) or any(b" 408 " in own.recv(100) for own in slow[1:2])


def test_what_is_no_request_is_answered_as_all_others_are(serving, planted):
    with serving(planted) as address, connect(address) as raw:
        raw.sendall(b"\x00 nonsense\r\n\r\n")
        head, _, body = b"".join(iter(lambda: raw.recv(5000), b"")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and json.loads(body) == {
            "detail": "Invalid HTTP request received."
        }
        for name, value in HEADERS.items():
            assert f"{name}: {value}".lower().encode() in head.lower()


@pytest.mark.parametrize("path", ["/", "/about", "/health", "/docs", "/page/style.css"])
def test_head_is_answered(client, planted, path):
    answered = client(planted).head(path)
    assert answered.status_code == 200 and int(answered.headers["content-length"]) > 0


def test_a_text_in_place_of_a_file_is_told_with_what_to_write(client, planted):
    answered = client(planted).post("/detect", data={"file": "photo.jpg"}, files={"x": b""})
    assert answered.status_code == 422 and "-F file=@photo.jpg" in answered.json()["detail"]


def test_nothing_of_the_working_folder_is_run(serving, planted, picture, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    monkeypatch.chdir(tmp_path)
    with serving(planted) as address:
        assert post(address, picture()).status_code == 200
    assert not (tmp_path / "ran").exists()


def test_a_decoder_that_died_while_it_waited_costs_nobody_an_upload(serving, planted, picture):
    with serving(planted) as address:
        for child in psutil.Process().children():
            child.kill()
        time.sleep(0.2)
        assert post(address, picture()).status_code == 200
