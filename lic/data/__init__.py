"""Image sets: folders of photographs, crops, and readers of ImageNet, COCO, VOC and CamVid."""
