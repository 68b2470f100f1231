"""Offline stand-in: Bazel's own cc_common."""

load(":native.bzl", "native_cc_common")

cc_common = native_cc_common
