"""The network that learnt from masks: its architecture, its files, its masks."""
