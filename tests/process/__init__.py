"""Tests of real daemons and programs in processes of their own."""
