"""Builds the datasets that lie in the image. Runs when the image is built, never in a pod."""
