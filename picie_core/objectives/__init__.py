"""What a training agrees with, one file a method."""
