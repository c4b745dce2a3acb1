import pytest
from typer.testing import CliRunner

from srtod.cli.main import app
from srtod.reproduce import compare
from srtod.support.errors import InputError


@pytest.fixture
def asked(monkeypatch):
    """What the verb asks for."""
    calls = []

    def note(*words, **options):
        calls.append((words, options))
        return "| a table |"

    monkeypatch.setattr(compare, "reproduce_table", note)
    monkeypatch.setattr(compare, "reproduce_matched", note)
    return calls


def run(*words):
    return CliRunner().invoke(app, ["reproduce", *map(str, words)])


def test_without_words_it_lists_what_there_is():
    shown = run().output
    assert all(name in shown for name in ("table-1", "table-7", "matched"))


def test_words_become_options(asked, tmp_path):
    result = run(
        "table-3", "--data", tmp_path, "--output", tmp_path / "o", "--rows", "rfla, rfla-srtod", "--rows",
        "detectors", "--seeds", 3, "--budget", 90, "--matched", "--scale", "light", "--set", "train.lr=1",
        "--device", "cpu", "--split", "val", "--precision", "bf16", "--batch-size", 4,
    )  # fmt: skip
    assert result.exit_code == 0 and "| a table |" in result.output
    (words, options), *_ = asked
    assert words == ("table-3", tmp_path, tmp_path / "o")
    assert (options["rows"], options["is_matched"]) == (["rfla", "rfla-srtod", "detectors"], True)
    told = options["options"]
    assert (told.seeds, told.budget, told.scale) == (3, 90, "light")
    assert told.changes == ("train.precision=bf16", "train.batch_size=4", "train.lr=1")
    assert (told.device, told.split, told.epochs, told.fraction) == ("cpu", "val", None, None)


def test_matched_takes_a_recipe(asked, tmp_path):
    assert run("matched", "--recipe", "small", "--data", tmp_path, "--output", tmp_path / "o").exit_code == 0
    ((words, options),) = asked
    assert words == ("small", tmp_path, tmp_path / "o")
    assert options["options"].scale == "full"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--budget", 5, "--epochs", 1), "--budget chooses epochs and fraction itself"),
        (("--fraction", 0), "--fraction 0: give a share above 0 and up to 1"),
        (("--budget", -1), "--budget -1: give minutes, more than 0"),
        (("--epochs", 0), "--epochs 0: give 1 or more"),
        (("--device", "tpu"), "device 'tpu': not one of auto, cpu, cuda"),
        (("--rows", "faster"), "--rows faster: no such row"),
        ((), "no such file or folder; give a data set"),
        (("--set", "model.anchor_scal=3"), "has no option 'anchor_scal' (did you mean 'anchor_scale'?)"),
    ],
)
def test_wrong_words_are_one_line_and_leave_nothing_behind(tmp_path, words, says):
    result = run("table-2", "--data", tmp_path / "none", "--output", tmp_path / "o", *words)
    assert isinstance(result.exception, InputError)
    assert says in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "o").exists()


def test_an_unknown_scale_is_a_wrong_argument(tmp_path):
    result = run("table-2", "--data", tmp_path, "--output", tmp_path / "o", "--scale", "tiny")
    assert result.exit_code == 2
    assert "'tiny' is not one of 'full', 'light'" in " ".join(result.output.split())
