"""The weights that ship with the project; beside each file stands its card, of the same name."""

from pathlib import Path

SHIPPED = "drones"
"""Name of the detector of drones in the sky; it is taken where no weights are named."""
SHIPPED_WEIGHTS = {file.stem: file for file in sorted(Path(__file__).parent.glob("*.safetensors"))}
"""The file of each shipped detector, by its name."""
