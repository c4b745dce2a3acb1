import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs/attach.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["torchvision", "transformers", "from_pretrained"])
def test_the_examples_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, str(DOCUMENT), "exec"), names)
    if "loaded" in names:
        wanted, found = names["model"].state_dict(), names["loaded"].state_dict()
        assert all(found[key].equal(value) for key, value in wanted.items())
