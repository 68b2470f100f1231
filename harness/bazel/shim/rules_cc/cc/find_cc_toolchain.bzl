"""Offline stand-in: the C++ toolchain of a rule, as @rules_cc spells it."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

CC_TOOLCHAIN_TYPE = Label("@bazel_tools//tools/cpp:toolchain_type")

CC_TOOLCHAIN_ATTRS = {
    "_cc_toolchain": attr.label(default = Label("@bazel_tools//tools/cpp:current_cc_toolchain")),
}

find_cc_toolchain = find_cpp_toolchain

def use_cc_toolchain(mandatory = True):
    return ["@bazel_tools//tools/cpp:toolchain_type"]
