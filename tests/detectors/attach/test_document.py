import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs/attach.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["torchvision", "transformers"])
def test_the_examples_run(example):
    exec(compile(example, str(DOCUMENT), "exec"), {})
