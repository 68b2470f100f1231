"""Compiler flags of the library and of what tests it."""

RC_COPTS = [
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wconversion",
    "-Wno-sign-conversion",
] + select({
    "//harness/bazel:not_optimised": [],  # sanitizers, coverage
    "//conditions:default": [
        "-O2",
        "-g1",
    ],
})

RC_TEST_COPTS = [
    "-std=c++17",
    "-Wall",
    "-Wextra",
    "-Wshadow",
]
