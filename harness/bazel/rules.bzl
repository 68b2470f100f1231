"""The targets this project is made of: libraries, test suites, fuzzers."""

load("@rules_cc//cc:cc_binary.bzl", "cc_binary")
load("@rules_cc//cc:cc_library.bzl", "cc_library")
load("@rules_cc//cc:cc_test.bzl", "cc_test")
load("//harness/bazel:copts.bzl", "RC_COPTS", "RC_TEST_COPTS")

def _twin(label, suffix):
    return label + suffix if ":" in label else label + ":" + label.split("/")[-1] + suffix

def rc_library(name, copts = [], deps = [], **kwargs):
    """A library of the product, and NAME_steps: its twin for tests, with RC_STEPS (kill hooks).

    Args:
      name: as in cc_library.
      copts: added to the product's own.
      deps: other rc_library targets; the twin depends on their twins.
      **kwargs: as in cc_library.
    """
    for suffix, defines in [("", []), ("_steps", ["RC_STEPS"])]:
        cc_library(
            name = name + suffix,
            copts = RC_COPTS + copts,
            defines = defines,
            deps = [_twin(dep, suffix) for dep in deps],
            **kwargs
        )

def rc_cc_test(name, srcs, copts = [], deps = [], size = "small", gtest = "@googletest//:gtest_main", **kwargs):
    """A test suite in C++, GoogleTest's main included.

    Args:
      name: as in cc_test.
      srcs: as in cc_test.
      copts: added to RC_TEST_COPTS.
      deps: what is tested: //:ringchan, //:ringchan_steps or single layers.
      size: as in cc_test; small is 60 s at most.
      gtest: "@googletest//:gtest" for a suite with its own main, None for none at all.
      **kwargs: as in cc_test; say tags = ["exclusive"] if it forks or counts on time.
    """
    cc_test(
        name = name,
        size = size,
        srcs = srcs,
        copts = RC_TEST_COPTS + copts,
        linkopts = ["-pthread"] + kwargs.pop("linkopts", []),
        deps = deps + ([gtest] if gtest else []),
        **kwargs
    )

def rc_fuzzer(name, srcs, deps = [], **kwargs):
    """A libFuzzer program; builds with --config=fuzz only ("harness/run fuzz NAME").

    Args:
      name: as in cc_binary.
      srcs: the source with LLVMFuzzerTestOneInput.
      deps: what is fuzzed.
      **kwargs: as in cc_binary.
    """
    cc_binary(
        name = name,
        srcs = srcs,
        copts = RC_TEST_COPTS,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = deps,
        **kwargs
    )
