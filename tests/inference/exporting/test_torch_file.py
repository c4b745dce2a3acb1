"""The .pt2 file itself."""

from pathlib import Path

import torch
from torch import nn

from srtod.inference.exporting import torch_file


class Doubled(nn.Module):
    def forward(self, images, sizes):
        return images * 2, sizes


def test_a_file_depends_on_the_detector_alone(tmp_path):
    written = []
    for name in ("one.pt2", "another.pt2"):
        inputs = torch.rand(1, 3, 64, 64), torch.tensor([[64, 64]])
        torch_file.write(torch.export.export(Doubled(), inputs), "{}", tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert str(Path(__file__).parent).encode() not in written[0]  # nor on where its code stands
    run, text = torch_file.read(tmp_path / "one.pt2")
    assert text == "{}" and torch.equal(run(*inputs)[0], inputs[0] * 2)
