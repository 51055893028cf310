"""The page of an image of usual size: small enough to send, and quick enough to use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from browser import Browser
from explained_page import open_page
from made_up_subject import ARCHITECTURE

from frcnn_cli.engine.detection.stage_times import sample_proposals
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.pages.explain.page import explain_subject, write_page
from frcnn_cli.engine.pages.explain.subject import make_subject
from frcnn_cli.engine.records import GroundTruth
from frcnn_cli.engine.settings import DetectSettings, Preprocessing


def test_an_image_of_usual_size_with_a_hundred_detections(
    chromium: Browser, tmp_path: Path
) -> None:
    """Below 10 MB, usable in two seconds of processor time, and quick to select a proposal."""
    torch.manual_seed(0)
    model = FastRCNN(
        replace(
            ARCHITECTURE,
            classes=tuple(f"class {number}" for number in range(20)),
            hidden=(256, 256),
            preprocessing=Preprocessing(scale=480, max_size=800),
            cascade=True,
            ranker=True,
        )
    ).eval()
    image = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    proposals = sample_proposals(2000)
    objects = proposals.boxes[::80] + np.float32(1)
    truth = GroundTruth(objects, np.arange(25) % 20 + 1, np.zeros(25, bool))
    settings = DetectSettings(score_threshold=0.0, max_per_class=300, box_voting=0.5)
    subject = make_subject(model, image, proposals, settings, truth)
    assert len(subject.detections) == 100
    page = write_page(subject, explain_subject(subject), tmp_path, "voc", "selective-search")
    assert 1_000_000 < page.stat().st_size < 10_000_000
    open_page(chromium, page)
    ready = chromium.busy_seconds()
    assert 0 < ready < 2
    chromium.run("explain.select(7); drawing.flush(); document.body.offsetWidth")  # with a layout
    assert chromium.busy_seconds() - ready < 0.5
