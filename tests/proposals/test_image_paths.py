"""Paths in place of an image that are not files."""

from __future__ import annotations

import pytest

from frcnn_proposals.errors import InputError
from frcnn_proposals.images import image_size, read_image


@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_folder_and_a_missing_file_have_one_message(read, tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}: is not a file; pass the images inside it$"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"a\.png: image file not found$"):
        read(tmp_path / "a.png")
