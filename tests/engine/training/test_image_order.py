"""The images of a mini-batch, and the number of RoIs of each kind from each image."""

from dataclasses import replace

import numpy as np
import pytest

from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import Sampling
from frcnn_cli.engine.training.image_order import epoch_shares, image_groups, shares_of_a_minibatch
from frcnn_cli.engine.training.sampling import Quota
from frcnn_proposals.errors import MisuseError

ROI_CENTRIC = Sampling(images=2, rois_per_image=4, strategy="roi-centric")


@pytest.fixture
def twenty(tiny_dataset: Dataset) -> Dataset:
    return replace(tiny_dataset, images=(tiny_dataset.images * 3)[:20])


def test_an_epoch_has_every_image_and_pairs_shapes(tiny_dataset: Dataset) -> None:
    images = tuple(
        replace(record, height=200 if i % 2 else 50) for i, record in enumerate(tiny_dataset.images)
    )
    dataset = replace(tiny_dataset, images=images[:8])
    groups = image_groups(dataset, 2, seed=0, epoch=3)
    assert sorted(index for group in groups for index in group) == list(range(8))
    assert all(first % 2 == second % 2 for first, second in groups)
    assert groups != image_groups(dataset, 2, seed=0, epoch=4)


def test_hierarchical_takes_64_rois_from_two_images_at_once(twenty: Dataset) -> None:
    assert shares_of_a_minibatch(Sampling()) == 1
    minibatches = epoch_shares(twenty, Sampling(), seed=0, epoch=0)
    assert len(minibatches) == 10
    for (share,) in minibatches:
        assert len(share.images) == 2
        assert share.quota == Quota(rois=64, foreground=16)


def test_roi_centric_takes_128_rois_from_128_images() -> None:
    assert shares_of_a_minibatch(Sampling(strategy="roi-centric")) == 128


def test_roi_centric_takes_every_roi_from_a_different_image(twenty: Dataset) -> None:
    minibatches = epoch_shares(twenty, ROI_CENTRIC, seed=0, epoch=0)
    assert [len(shares) for shares in minibatches] == [8, 8, 8]
    for shares in minibatches:
        assert len({image for share in shares for image in share.images}) == 8
        # A quarter of the eight is foreground, if the images have any.
        assert sorted(share.quota.foreground for share in shares) == [0] * 6 + [1] * 2
        assert {share.quota.rois for share in shares} == {1}
    once = [image for shares in minibatches for share in shares for image in share.images][:20]
    assert sorted(once) == list(range(20))


def test_every_image_is_foreground_in_a_quarter_of_the_epochs(twenty: Dataset) -> None:
    epochs, count = 400, np.zeros(20)
    for epoch in range(epochs):
        shares = epoch_shares(twenty, ROI_CENTRIC, seed=0, epoch=epoch)
        for share in [share for minibatch in shares[:2] for share in minibatch]:
            count[share.images[0]] += share.quota.foreground
    # 4 of 20 images are foreground per epoch (2 mini-batches of 8): 80 +- 8 of 400 epochs.
    assert count.mean() == 80
    assert np.abs(count - 80).max() < 4 * 8


def test_roi_centric_needs_as_many_images_as_rois(tiny_dataset: Dataset) -> None:
    with pytest.raises(MisuseError, match=r"each of 128 RoIs; .* has 9 images"):
        epoch_shares(tiny_dataset, Sampling(strategy="roi-centric"), seed=0, epoch=0)
