"""The benchmark of sampling runs on a small case; its times are not asserted."""

from dataclasses import replace

import numpy as np
import pytest

from frcnn_cli.engine.benchmarks.measuring import peak_growth
from frcnn_cli.engine.benchmarks.sampling import SamplingCase, measure_sampling
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import Sampling
from frcnn_proposals.errors import MisuseError

MEGABYTES = 1 << 20


def hold(megabytes: int):
    """A function that allocates and frees the given memory twice, while more is held."""
    held = np.ones(50 * MEGABYTES, np.uint8)

    def work() -> None:
        for _ in range(2):
            assert np.ones(megabytes * MEGABYTES, np.uint8).all()
        assert held.all()

    return work


@pytest.mark.parametrize("megabytes", [40, 120])
def test_the_peak_growth_is_the_allocated_memory(megabytes: int) -> None:
    assert peak_growth(hold, (megabytes,)) / MEGABYTES == pytest.approx(megabytes, abs=8)


def test_both_strategies_are_measured_on_equally_many_rois(tiny_dataset: Dataset) -> None:
    case = SamplingCase.of(tiny_dataset)
    case = replace(case, sampling=Sampling(images=2, rois_per_image=4), scale=64)
    result = measure_sampling(case, rounds=1)
    assert result.rois == 8
    assert (result.hierarchical_images, result.roi_centric_images) == (2, 8)
    assert result.hierarchical_bytes > 0
    assert result.roi_centric_bytes > 0
    assert result.to_json()["ratio"] == result.roi_centric_s / result.hierarchical_s


def test_too_few_images_are_rejected(tiny_dataset: Dataset) -> None:
    with pytest.raises(MisuseError, match="a different image for each of 128 RoIs"):
        measure_sampling(SamplingCase.of(tiny_dataset))
