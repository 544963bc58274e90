"""One function a command; `commands` lists them all, `parser` turns them into a command line."""
