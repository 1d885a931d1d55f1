"""What the step of a group costs each frame, in C: an optional extension for Python."""
