import asyncio
from concurrent.futures import ThreadPoolExecutor, as_completed

import httpx2
import pytest

from srtod.serve.guard import HEADERS, Guard
from srtod.serve.limits import Limits
from srtod.support.errors import InputError

FORM = {"content-type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize("path", ["/", "/about", "/nowhere", "/page/style.css", "/openapi.json"])
def test_every_answer_has_the_headers_and_lets_no_other_site_in(client, planted, path):
    answer = client(planted).get(path, headers={"origin": "https://elsewhere.example"})
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("LOCALHOST", 200), ("[::1]:80", 200), ("evil.example", 400), ("", 400)],
)
def test_foreign_names_are_refused(client, planted, host, status):
    asked = client(planted, hosts=("localhost", "[::1]"))
    assert asked.get("/about", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)]
)
def test_pages_of_other_sites_cannot_ask(client, planted, picture, site, status):
    answer = client(planted).post("/detect", files={"file": picture()}, headers={"sec-fetch-site": site})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        ("http://10.0.0.2:8000", None, 200),
        ("HTTP://10.0.0.2:8000", None, 200),
        ("http://evil.example", None, 403),
        ("http://10.0.0.2:9000", None, 403),
        ("http://[", None, 403),
        ("null", None, 403),
        ("https://proxied.example", "same-origin", 200),
    ],
)
def test_where_browsers_name_no_site_the_origin_decides(client, planted, picture, origin, site, status):
    headers = {"host": "10.0.0.2:8000", "origin": origin} | ({"sec-fetch-site": site} if site else {})
    answer = client(planted).post("/detect", files={"file": picture()}, headers=headers)
    assert answer.status_code == status


def exchange(limits, parts, *, headers=FORM, pause=0.0):
    """Send parts of a body through a guard to an application that reads all of it; gives what was sent."""
    sent, left = [], list(parts)

    async def receive():
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    async def reads_all(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    from starlette.applications import Starlette
    from starlette.routing import Mount

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/detect",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    inner = Starlette(routes=[Mount("/", app=reads_all)])
    asyncio.run(Guard(inner, limits=limits)(scope, receive, send))
    return sent[0]["status"], len(left)


def test_a_body_that_says_it_is_too_large_is_not_read():
    limits = Limits(upload_megabytes=0.01)
    status, unread = exchange(limits, [b"x"] * 3, headers=FORM | {"content-length": "100000"})
    assert (status, unread) == (413, 3)
    assert exchange(limits, [b"x"] * 3, headers=FORM | {"content-length": "lots"})[0] == 413


def test_a_body_that_does_not_say_how_large_it_is_is_read_up_to_the_limit():
    status, unread = exchange(Limits(upload_megabytes=0.01), [b"x" * 4096] * 10)
    assert status == 413 and unread >= 5
    assert exchange(Limits(upload_megabytes=0.01), [b"x" * 4096] * 2) == (200, 0)


def test_a_body_that_takes_too_long_is_given_up():
    limits = Limits(upload_seconds=0.1)
    assert exchange(limits, [b"x"] * 20, pause=0.03)[0] == 408
    assert exchange(limits, [b"x"], pause=0.0)[0] == 200


def test_uploads_are_refused_before_their_bytes_where_too_many_are_on_their_way():
    limits, statuses, arrived = Limits(waiting=0), [], asyncio.Event()

    async def reads_all(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        await arrived.wait()
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def ask_often():
        guard, headers = Guard(reads_all, limits=limits), [(b"content-type", b"multipart/form-data")]
        scope = {"type": "http", "method": "POST", "path": "/detect", "headers": headers}
        asking = [asyncio.create_task(guard(scope, receive, send)) for _ in range(limits.at_once)]
        await asyncio.sleep(0)
        await guard(scope, receive, send)
        assert statuses == [503]
        arrived.set()
        await asyncio.gather(*asking)
        await guard(scope, receive, send)

    asyncio.run(ask_often())
    assert statuses == [503, *[200] * (limits.at_once + 1)]


def post(address, data):
    return httpx2.post(f"{address}/detect", files={"file": ("x.png", data, "image/png")}, timeout=30)


def test_requests_at_once_have_their_own_answers(serving, planted, picture):
    widths = list(range(50, 58))
    with serving(planted) as address, ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda width: post(address, picture(width)).json(), widths)
        found = [(own["images"][0]["width"], own["annotations"][-1]["bbox"][2]) for own in answers]
    assert found == [(width, width) for width in widths]


def test_a_full_queue_is_answered_by_503_and_empties(serving, planted, picture):
    planted.gate.clear()
    with serving(planted, waiting=1) as address, ThreadPoolExecutor(4) as pool:
        asked = as_completed([pool.submit(post, address, picture()) for _ in range(4)])
        for refused in (next(asked).result(), next(asked).result()):
            assert refused.status_code == 503 and "busy" in refused.json()["detail"]
            assert int(refused.headers["retry-after"]) >= 1
        planted.gate.set()
        assert [own.result().status_code for own in asked] == [200, 200]
        assert post(address, picture()).status_code == 200
    assert len(planted.sizes) == 3


def test_what_takes_too_long_is_given_up_and_what_waited_is_not_done(serving, planted, picture):
    planted.gate.clear()
    with serving(planted, waiting=1, seconds=1) as address, ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda width: post(address, picture(width)), (51, 52)))
        assert [own.status_code for own in answers] == [504, 504]
        assert "not done within 1 s" in answers[0].json()["detail"]
        planted.gate.set()
        assert post(address, picture(53)).status_code == 200
    begun, last = (width for width, _ in planted.sizes)
    assert begun in (51, 52) and last == 53


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": 0},
        {"waiting": -1},
        {"megapixels": float("nan")},
        {"megapixels": float("inf")},
        {"upload_megabytes": float("inf")},
        {"waiting": float("inf")},
    ],
)
def test_limits_are_positive_and_finite(change):
    with pytest.raises(InputError, match="must be more than 0"):
        Limits(**change)
