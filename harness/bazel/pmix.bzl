"""PMIx, which tells the members of a job of each other: what pkg-config knows of it, or nothing."""

_FOUND = """
cc_library(
    name = "pmix",
    hdrs = glob(["include/**/*.h"]),
    defines = ["RC_HAVE_PMIX=1"],
    includes = ["include"],
    linkopts = ["-lpmix"],
    visibility = ["//visibility:public"],
)
"""

_MISSING = """
cc_library(
    name = "pmix",
    defines = ["RC_HAVE_PMIX=0"],
    visibility = ["//visibility:public"],
)
"""

def _pmix_repository(ctx):
    found = ctx.execute(["pkg-config", "--variable=includedir", "pmix"])
    build = "load(\"@rules_cc//cc:cc_library.bzl\", \"cc_library\")\n"
    if found.return_code == 0 and found.stdout.strip():
        ctx.symlink(found.stdout.strip(), "include")
        build += _FOUND
    else:
        build += _MISSING
    ctx.file("WORKSPACE")
    ctx.file("BUILD.bazel", build)

pmix_repository = repository_rule(
    implementation = _pmix_repository,
    # Looks again at every start of the server: the package may have come or gone.
    configure = True,
    local = True,
)
