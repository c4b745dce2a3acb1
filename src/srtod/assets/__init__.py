"""The weights that come with the project; their card, ``drones.md``, stands beside them."""

from pathlib import Path

SHIPPED = "drones"
"""Name of the shipped detector, of drones in the sky; it is taken where no weights are named."""


def shipped_weights() -> Path:
    """Return the file of the shipped detector."""
    return Path(__file__).with_name(f"{SHIPPED}.safetensors")
