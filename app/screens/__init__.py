"""One file a screen, run from top to bottom by `app/main.py`."""
