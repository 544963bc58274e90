"""Images screen: choose a folder, see what is in it, embed it."""
