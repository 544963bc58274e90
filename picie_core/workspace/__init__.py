"""The folder on disk that holds all work on one image collection, and the jobs that fill it."""
