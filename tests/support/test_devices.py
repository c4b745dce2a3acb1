import pytest
import torch

from srtod.support.devices import (
    ONE_GPU,
    choose_device,
    in_precision,
    require_precision,
    sent,
    trains_channels_last,
)
from srtod.support.errors import InputError


@pytest.mark.parametrize(
    ("name", "among", "message"),
    [
        ("gpu", None, "device 'gpu': not one of auto, cpu, cuda, cuda:1, mps"),
        ("", None, "device '': not one of auto"),
        ("meta", None, "device 'meta': not one of auto"),
        ("cpu:0", None, "device 'cpu:0': not one of auto"),
        ("mps", ONE_GPU, "device 'mps': not one of auto, cpu, cuda"),
        ("cuda:0", ONE_GPU, "device 'cuda:0': .*CUDA_VISIBLE_DEVICES"),
    ],
)
def test_unknown_devices_are_refused(name, among, message):
    options = {} if among is None else {"among": among}
    with pytest.raises(InputError, match=message):
        choose_device(name, **options)


@pytest.mark.parametrize("name", ["cuda", "cuda:99", "mps"])
def test_a_device_that_is_not_there_is_told_in_short(name, monkeypatch):
    for module in (torch.cuda, torch.mps):
        monkeypatch.setattr(module, "device_count", lambda: 0)
    with pytest.raises(InputError) as error:
        choose_device(name)
    assert str(error.value) == f"device '{name}': no GPU is available here; take cpu"


def test_the_number_of_a_gpu_counts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="device 'cuda:2': the last GPU here is cuda:1"):
        choose_device("cuda:2")


@pytest.mark.parametrize(("there", "kind"), [(False, "cpu"), (True, "cuda")])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, there, kind):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("auto").type == kind
    assert choose_device("cpu").type == "cpu"


def test_a_network_runs_in_the_precision_asked_for():
    layer, cpu = torch.nn.Linear(2, 2), torch.device("cpu")
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with in_precision(precision, cpu):
            assert layer(torch.ones(1, 2)).dtype == dtype
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("precision", "device", "message"),
    [
        ("fp8", "cpu", "precision 'fp8': not one of fp32, bf16, fp16"),
        ("fp16", "cpu", "precision fp16 needs a GPU; on a CPU take bf16 or fp32"),
        ("bf16", "cuda", "precision bf16: Old GPU does not do it; take fp16 or fp32"),
    ],
)
def test_what_a_device_does_not_do_is_one_line(precision, device, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old GPU")
    with pytest.raises(InputError) as error:
        require_precision(precision, torch.device(device))
    assert str(error.value) == message


@pytest.mark.parametrize(("capability", "together"), [("AVX2", False), ("DEFAULT", False), ("AVX512", True)])
def test_the_layout_of_training_is_that_of_the_processor(capability, together, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert trains_channels_last(torch.device("cpu")) is together
    assert trains_channels_last(torch.device("cuda"))


@pytest.mark.parametrize(("device", "at_once"), [("cpu", True), ("meta", False)])
def test_nobody_reads_what_is_still_on_its_way_to_the_host(device, at_once, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.Tensor, "to", lambda _, *given, **options: asked.append((given, options)))
    sent(torch.zeros(1), torch.device(device))
    assert asked == [((torch.device(device),), {"non_blocking": not at_once})]
