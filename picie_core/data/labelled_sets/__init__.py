"""Images with ground truth: folders of masks, COCO-Stuff, Cityscapes."""
