"""The network: backbone, RoI pooling, fully connected layers, losses (paper, section 2)."""
