"""Offline stand-in: the native rule."""

sh_library = native.sh_library
