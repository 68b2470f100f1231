"""Offline stand-in: the native rule."""

cc_test = native.cc_test
