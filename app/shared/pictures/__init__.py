"""Pictures that several screens draw: overlays, charts, thumbnails, the image strip."""
