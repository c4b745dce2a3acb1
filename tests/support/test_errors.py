import pytest

from srtod.support.errors import missing_extra


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (
            ModuleNotFoundError("No module named 'av'", name="av"),
            "av is not installed",
            "run 'uv sync --extra video'",
        ),
        (
            ImportError("libssl.so.1: cannot open shared object file"),
            "its import fails: libssl.so.1: cannot",
            "repair it with 'uv sync --reinstall --extra video'",
        ),
        (
            ModuleNotFoundError("No module named 'av._core'", name="av._core"),
            "its import fails: No module",
            "repair it with 'uv sync --reinstall --extra video'",
        ),
        (
            ImportError("libGL.so.1: cannot open shared object file"),
            "its import fails: libGL.so.1: cannot",
            "opencv-python-headless in the place of opencv-python",
        ),
    ],
)
def test_a_missing_extra_is_named_with_the_true_reason_and_its_remedy(error, reason, remedy):
    message = str(missing_extra("video", "videos are decoded by PyAV", error))
    assert message.startswith(f"videos are decoded by PyAV, but {reason}")
    assert message.endswith(remedy)
