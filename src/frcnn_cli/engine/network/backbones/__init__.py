"""ImageNet networks up to the feature map that RoI pooling reads. One file per network."""
