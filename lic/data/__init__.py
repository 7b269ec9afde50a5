"""Image sets: the demo scenes, folders of photographs, and readers of ImageNet, COCO and VOC."""
