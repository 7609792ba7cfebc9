import pytest
import torch
from torch import nn

from raycolor.networks.ema import MovingAverage


def test_is_the_weighted_mean_of_all_weights_so_far() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    average = MovingAverage(network, 0.6)
    expected = {name: value.clone() for name, value in network.named_parameters()}
    for step in range(12):
        with torch.no_grad():
            for value in network.parameters():
                value.copy_(torch.randn_like(value))
        average.update(network, step)
        # 1/10, 2/11, 3/12, ... until 0.6 is reached.
        decay = min(0.6, (1 + step) / (10 + step))
        for name, value in network.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * value.detach()
    for name, value in average.network.named_parameters():
        torch.testing.assert_close(value, expected[name])


def test_stands_still_where_the_weights_do() -> None:
    network = nn.Linear(3, 3)
    average = MovingAverage(network, 0.9)
    for step in range(100):
        average.update(network, step)
    for mine, theirs in zip(average.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_buffers_are_copied() -> None:
    network = nn.BatchNorm2d(2)
    average = MovingAverage(network, 0.999)
    network.train()(torch.randn(4, 2, 3, 3) + 5)
    average.update(network, 0)
    assert isinstance(average.network, nn.BatchNorm2d)
    assert network.running_mean is not None
    assert average.network.running_mean is not None
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert int(average.network.num_batches_tracked or 0) == 1


def test_never_touches_the_network_and_is_never_trained() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average = MovingAverage(network, 0.5)
    average.update(network, 3)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert network.training
    assert not average.network.training
    assert not any(value.requires_grad for value in average.network.parameters())


@pytest.mark.parametrize("step", [0, 1, 10])
def test_first_weights_are_soon_forgotten(step: int) -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = MovingAverage(network, 0.999)
    nn.init.ones_(network.weight)
    average.update(network, step)
    assert isinstance(average.network, nn.Linear)
    assert average.network.weight.item() == pytest.approx(9 / (10 + step))


def test_follows_weights_that_are_loaded_and_another_network() -> None:
    torch.manual_seed(1)
    first, second = (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)) for _ in range(2))
    average = MovingAverage(first, 0.5)
    average.update(first, 100)
    first.load_state_dict({name: value + 1 for name, value in second.state_dict().items()})
    for network in (first, second):
        before = {name: value.clone() for name, value in average.network.state_dict().items()}
        average.update(network, 100)
        for name, value in network.named_parameters():
            mean = torch.lerp(before[name], value.detach(), 0.5)
            assert torch.equal(average.network.state_dict()[name], mean)
        for name, buffer in network.named_buffers():
            assert torch.equal(average.network.state_dict()[name], buffer)
