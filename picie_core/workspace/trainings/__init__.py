"""Trainings of a workspace: their plan, epochs, history and runs, and the linear probe."""
