"""mixed.py STORE OUT: selective search's proposals, followed by random dense boxes.

For each image of voc2007's val split in $FRCNN_DATA, OUT has the first 2,000 proposals of STORE,
and then 3,000 dense boxes, drawn with a seed. Its first 2,000, 3,000 and 5,000 boxes are thus sets
like those of the paper's section 5.5, in which random dense boxes join selective search.
"""

import sys
from pathlib import Path

import numpy as np

from frcnn_cli.engine.evaluation.images import open_split
from frcnn_cli.engine.seeds import generator_for
from frcnn_proposals.base import Proposals
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.writer import StoreWriter

FIRST, ADDED = 2000, 3000


def main(store: Path, out: Path) -> None:
    searched, dense = open_store(store), DenseBoxes()
    provenance = Provenance("selective-search+random-dense", "1", {"first": FIRST, "added": ADDED})
    with StoreWriter(out, provenance) as writer:
        for record in open_split("voc2007", "val").images:
            image = read_image(record.path)
            first = searched[record.image_id].boxes[:FIRST]
            others = dense.propose(image).boxes
            chosen = generator_for(0, record.image_id).permutation(len(others))[:ADDED]
            height, width = image.shape[:2]
            boxes = Proposals(np.concatenate([first, others[chosen]]))
            writer.add(record.image_id, boxes, size=(width, height))
        writer.finish()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
