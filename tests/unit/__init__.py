"""Tests that start no process, by the layer they test."""
