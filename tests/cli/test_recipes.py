import subprocess
import sys

import pytest
from typer.testing import CliRunner

from srtod.cli.main import app
from srtod.recipes import load_recipe, read_values, recipe_names


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


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_listed_is_what_the_recipe_says(name):
    recipe, values = load_recipe(name), read_values(name)
    assert values["about"] == recipe.about.model_dump(exclude_unset=True)
    assert values["model"]["system"] == recipe.model.system
    assert bool(values["model"].get("self_reconstruction")) == (recipe.model.self_reconstruction is not None)
    assert values["train"]["epochs"] == recipe.train.epochs


def test_the_list_does_not_wait_for_torch():
    code = "import sys; sys.argv = ['srtod', 'recipes']; from srtod.cli.main import app; import atexit; "
    code += "atexit.register(lambda: print('torch' in sys.modules)); app()"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "quickstart" in told and told.splitlines()[-1] == "False"


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
