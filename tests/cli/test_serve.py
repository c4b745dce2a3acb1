import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from srtod.cli import main as command_line


def run(monkeypatch, *arguments):
    """Return the exit code of ``srtod serve``."""
    monkeypatch.setattr("sys.argv", ["srtod", "serve", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code or 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--weights": "none.safetensors"}, "none.safetensors"),
        ({"--device": "gpu"}, "device 'gpu': not one of"),
        ({"--timeout": "0"}, "seconds 0.0: must be more than 0"),
        ({"--max-megapixels": "-1"}, "megapixels -1.0: must be more than 0"),
        ({"--max-upload": "inf"}, "upload megabytes inf: must be more than 0, and finite"),
        ({"--port": "70000"}, "--port"),
        ({"--host": "192.0.2.1"}, "192.0.2.1:0: cannot be listened at"),
    ],
)
def test_bad_arguments_end_with_exit_code_2(small_weights, monkeypatch, capsys, change, message):
    options = {"--weights": small_weights / "selfrec.safetensors", "--port": "0"} | change
    assert run(monkeypatch, *[text for option in options.items() for text in option]) == 2
    assert message in capsys.readouterr().err


def test_a_taken_port_ends_with_exit_code_2(small_weights, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        weights = small_weights / "selfrec.safetensors"
        assert run(monkeypatch, "--weights", weights, "--port", port, "--device", "cpu") == 2
    assert "choose --host or --port" in capsys.readouterr().err


def test_it_serves_until_it_is_stopped(small_weights):
    weights = small_weights / "selfrec.safetensors"
    command = [sys.executable, "-m", "srtod.cli.main", "serve", "--weights", weights, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert server.stderr.readline() == "loading torch ...\n"
        said = server.stderr.readline()
        address = re.fullmatch(r"(http://127\.0\.0\.1:\d+) \(Ctrl\+C stops\)", said.strip())
        assert address, said
        with urllib.request.urlopen(f"{address[1]}/about", timeout=60) as answer:
            assert json.load(answer)["has_maps"]
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 130  # as every verb that Ctrl-C ends
        assert server.stderr.read() == "stopped\n"
