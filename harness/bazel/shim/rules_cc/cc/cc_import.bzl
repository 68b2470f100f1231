"""Offline stand-in: the native rule."""

cc_import = native.cc_import
