"""The generated dataset: readable, reproducible and as documented."""

import numpy as np
import pytest
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.boxes import areas, iou_matrix
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.appearance import SHAPES, draw_shape
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.datasets.generate.scene import make_scene
from frcnn_proposals.errors import MisuseError


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    return generate_dataset(tmp_path_factory.mktemp("generated") / "shapes", images=24, seed=3)


def content(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*.*")}


def test_it_is_a_dataset_with_four_splits(generated):
    counts = {s: len(find_dataset(str(generated), s)) for s in ("train", "val", "trainval", "test")}
    assert counts == {"train": 14, "val": 4, "trainval": 18, "test": 6}
    dataset = find_dataset(str(generated), "trainval")
    assert dataset.classes == SHAPES
    with Image.open(dataset.images[0].path) as image:
        assert image.size == (320, 240)


def test_it_has_overlap_different_sizes_every_class_and_difficult_objects(generated):
    truths = [image.truth for image in find_dataset(str(generated), "trainval").images]
    sizes = np.concatenate([areas(truth.boxes[~truth.difficult]) for truth in truths])
    assert sizes.max() > 8 * sizes.min()
    assert {int(label) for truth in truths for label in truth.labels} == {1, 2, 3, 4, 5, 6}
    assert any(truth.difficult.any() for truth in truths)
    overlaps = [np.triu(iou_matrix(truth.boxes, truth.boxes), k=1).max() for truth in truths]
    assert max(overlaps) > 0.05


def test_images_depend_on_the_seed_and_not_on_the_count(generated, tmp_path):
    same_seed = content(generate_dataset(tmp_path / "same", images=8, seed=3))
    more_images = content(generated)
    image_files = [name for name in same_seed if name.suffix == ".jpg"]
    assert len(image_files) == 8
    assert all(same_seed[name] == more_images[name] for name in image_files)
    other_seed = content(generate_dataset(tmp_path / "other", images=8, seed=4))
    assert all(other_seed[name] != more_images[name] for name in image_files)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_fills_its_square_but_not_the_corners(name):
    mask = draw_shape(name, 64, 0.3)
    assert 0.15 < (mask > 0.5).mean() < 0.8
    assert mask[0, 0] == mask[-1, -1] == 0
    assert (mask[32, 32] > 0.5) == (name != "ring")


def test_nothing_is_overwritten_and_an_interrupt_leaves_no_files(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_dataset(tmp_path / "shapes", images=8, reporter=RecordingReporter(interrupt))
    assert list(tmp_path.iterdir()) == []
    generate_dataset(tmp_path / "shapes", images=8)
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]
    with pytest.raises(MisuseError, match="already exists"):
        generate_dataset(tmp_path / "shapes", images=8)


def test_too_few_or_too_small_images_are_rejected(tmp_path):
    with pytest.raises(MisuseError, match="too few to split"):
        generate_dataset(tmp_path / "few", images=3)
    with pytest.raises(MisuseError, match="too small"):
        generate_dataset(tmp_path / "small", images=8, size=(320, 20))


def test_every_object_of_the_smallest_images_is_visible():
    for seed in range(60):
        scene = make_scene(np.random.default_rng((0, seed)), 64, 64)
        assert all(x1 <= x2 and y1 <= y2 for x1, y1, x2, y2 in (o.box for o in scene.objects))
