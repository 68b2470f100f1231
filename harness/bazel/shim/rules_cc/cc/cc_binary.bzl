"""Offline stand-in: the native rule."""

cc_binary = native.cc_binary
