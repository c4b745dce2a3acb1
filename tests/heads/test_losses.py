import torch

from srtod.heads.losses import SummedLoss, averaged, iou_loss, smooth_l1


def test_losses_are_divided_by_their_counts_and_never_by_zero():
    six = torch.tensor(6.0)
    losses = averaged({"none": SummedLoss(six, torch.tensor(0)), "three": SummedLoss(six, torch.tensor(3))})
    assert {name: loss.item() for name, loss in losses.items()} == {"none": 6, "three": 2}


def test_processes_exchange_all_counts_of_a_step_at_once(monkeypatch):
    exchanged = []
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda counts: exchanged.append(counts.mul_(2)))
    counts = [torch.tensor(value) for value in (5, 0, 2.5)]
    losses = averaged({str(count): SummedLoss(torch.tensor(10.0), count) for count in counts})
    assert len(exchanged) == 1
    assert [loss.item() for loss in losses.values()] == [2, 20, 4]


def test_smooth_l1_without_beta_is_the_absolute_distance():
    positive = torch.tensor([True])
    assert smooth_l1(torch.tensor([[0.0, 2]]), torch.tensor([[1.0, -1]]), positive, beta=0.0).item() == 4
    assert smooth_l1(torch.tensor([[0.5]]), torch.tensor([[0.0]]), positive, beta=1.0).item() == 0.125


def test_only_positive_rows_count_whatever_the_others_are_to_be():
    predicted = torch.tensor([[0.0, 0, 4, 4], [1.0, 1, 5, 5]], requires_grad=True)
    wanted = torch.tensor([[0.0, 0, 4, 2], [torch.nan, torch.inf, -torch.inf, 0]])
    positive = torch.tensor([True, False])
    smooth_l1(predicted, wanted, positive, beta=0.0).backward()
    assert predicted.grad.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]
    predicted.grad = None
    loss = iou_loss(predicted, torch.where(positive[:, None], wanted, 0), positive)
    assert loss.item() == 0.5
    loss.backward()
    assert predicted.grad[0].any()
    assert not predicted.grad[1].any()
