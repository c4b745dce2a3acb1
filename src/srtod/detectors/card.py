"""The card of a detector in a repository of the Hugging Face hub, to be filled in."""

from srtod.detectors.config import DetectorConfig

CARD = "README.md"


def card(config: DetectorConfig) -> str:
    """What the detector is and how to use it, in the hub's Markdown."""
    enhanced = "with" if config.self_reconstruction else "without"
    return f"""---
library_name: srtod
pipeline_tag: object-detection
tags: [tiny-object-detection, {config.system}]
---

# A detector of {", ".join(config.classes)}

{config.system} on {config.backbone}, {enhanced} self-reconstruction, made with
srtod. Say here what it was trained on, what it reaches on which data, and where it fails.

```python
import srtod

detector = srtod.load("OWNER/NAME")
found = detector([image])  # float [3, H, W], RGB in 0..1
```
"""
