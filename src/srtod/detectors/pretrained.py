"""A detector as a repository of the Hugging Face hub: its weights and a card."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srtod.support import hub
from srtod.support.errors import InputError
from srtod.support.files import write_text

if TYPE_CHECKING:
    from srtod.detectors.detector import Detector

CARD = "README.md"


def save_pretrained(detector: "Detector", folder: str | Path) -> None:
    """Write what a repository of the hub holds: ``model.safetensors`` and, unless there is one, a card.

    Args:
        detector: the detector.
        folder: made if it is not there.

    Raises:
        InputError: the place cannot be written to.
    """
    folder = Path(folder)
    detector.save(folder / hub.WEIGHTS)
    if not (folder / CARD).exists():
        write_text(folder / CARD, card(detector))


def push_to_hub(
    detector: "Detector", repository: str, *, private: bool = False, message: str = "srtod detector"
) -> str:
    """Put a detector into a repository of the hub, which is made if it is not there.

    A card that is there stays as it is. The token is the one of ``hf auth login`` or ``HF_TOKEN``.

    Args:
        detector: the detector.
        repository: ``owner/name``.
        private: whether a new repository is.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        InputError: the hub cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory() as scratch:
        save_pretrained(detector, scratch)
        try:
            return hub.upload(Path(scratch), repository, private=private, message=message, keep=(CARD,))
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(f"{repository}: not put on the Hugging Face hub: {reason}") from error


def card(detector: "Detector") -> str:
    """Return a card to be filled in: what the detector is and how to use it."""
    config: dict[str, Any] = detector.config
    enhanced = "with" if config["self_reconstruction"] else "without"
    classes = ", ".join(detector.classes)
    return f"""---
library_name: srtod
pipeline_tag: object-detection
tags: [tiny-object-detection, {config["system"]}]
---

# A detector of {classes}

{config["system"]} on {config["backbone"]}, {enhanced} self-reconstruction, made with
srtod. Say here what it was trained on, what it reaches on which data, and where it fails.

```python
import srtod

detector = srtod.load("OWNER/NAME")
found = detector([image])  # float [3, H, W], RGB in 0..1
```
"""
