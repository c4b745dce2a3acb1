import socket
import sys

import pytest

from srtod.serve import run
from srtod.support.errors import InputError


def test_a_port_that_is_taken_is_told_in_one_line():
    with run.listen("127.0.0.1", 0) as taken, pytest.raises(InputError, match=r"choose --host or --port"):
        run.listen("127.0.0.1", taken.getsockname()[1])


def test_an_address_of_another_machine_is_told_in_one_line():
    with pytest.raises(InputError, match=r"192\.0\.2\.1:0: cannot be listened at"):
        run.listen("192.0.2.1", 0)


def test_it_listens_at_the_loopback_address_alone_unless_told_otherwise():
    with run.listen("127.0.0.1", 0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        assert listening.family == socket.AF_INET


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(InputError, match=r"needs the package uvicorn, .* run 'uv sync --extra serve'"):
        run.require_extra()
