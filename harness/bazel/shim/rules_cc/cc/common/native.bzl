"""Bazel's own globals under names that other files can re-export."""

native_cc_common = cc_common
native_cc_info = CcInfo
