"""Write the versions of the current environment into ``[tool.uv] constraint-dependencies``."""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def main() -> None:
    """Replace the pins, or add them at the end."""
    frozen = subprocess.run(
        ["uv", "pip", "freeze", "--exclude-editable"], check=True, capture_output=True, text=True
    ).stdout
    pins = [line for line in frozen.splitlines() if re.fullmatch(r"[\w.-]+==[\w.+!-]+", line)]
    block = "constraint-dependencies = [\n" + "".join(f'  "{pin}",\n' for pin in pins) + "]\n"
    text = PROJECT.read_text(encoding="utf-8")
    held = re.compile(r"constraint-dependencies = \[\n.*?\n\]\n", re.DOTALL)
    text = held.sub(block, text) if held.search(text) else f"{text}\n[tool.uv]\n{block}"
    PROJECT.write_text(text, encoding="utf-8")
    print(f"{len(pins)} versions pinned", file=sys.stderr)


if __name__ == "__main__":
    main()
