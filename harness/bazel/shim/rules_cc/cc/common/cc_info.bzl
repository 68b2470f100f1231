"""Offline stand-in: Bazel's own CcInfo."""

load(":native.bzl", "native_cc_info")

CcInfo = native_cc_info
