from typer.testing import CliRunner

from srtod.cli.main import app
from srtod.recipes import load_recipe, recipe_names


def test_every_recipe_is_listed_with_its_source():
    result = CliRunner().invoke(app, ["recipes"])
    assert result.exit_code == 0
    listed = {line.split()[0]: line for line in result.output.splitlines()[1:]}
    assert set(listed) == set(recipe_names())
    row = listed["aitod-cascade-rcnn-srtod"]
    assert "AI-TOD" in row
    assert "cascade-rcnn + self-reconstruction" in row
    assert " 12 " in row
    assert "table 3, Cascade R-CNN with SR-TOD" in row


def test_a_recipe_in_full_is_a_recipe(tmp_path):
    result = CliRunner().invoke(app, ["recipes", "show", "small", "--set", "train.epochs=3"])
    assert result.exit_code == 0
    (tmp_path / "own.yaml").write_text(result.output)
    assert load_recipe(tmp_path / "own.yaml") == load_recipe("small", ["train.epochs=3"])


def test_a_name_alone_shows_the_recipe():
    short, long = (
        CliRunner().invoke(app, words) for words in (["recipes", "small"], ["recipes", "show", "small"])
    )
    assert short.exit_code == 0 and short.output == long.output
