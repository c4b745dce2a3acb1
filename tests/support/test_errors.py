import pytest

from srtod.support.errors import missing_extra


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'av'", name="av"), "av is not installed"),
        (ImportError("libssl.so.1: cannot open shared object file"), "its import fails: libssl.so.1: cannot"),
        (ModuleNotFoundError("No module named 'av._core'", name="av._core"), "its import fails: No module"),
    ],
)
def test_a_missing_extra_is_named_with_the_true_reason(error, reason):
    message = str(missing_extra("video", "videos are decoded by PyAV", error))
    assert message.startswith(f"videos are decoded by PyAV, but {reason}")
    assert message.endswith("; run 'uv sync --extra video'")
