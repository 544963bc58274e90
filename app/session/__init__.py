"""What a browser tab remembers, what is cached between two runs of the script, and background jobs."""
