#!/usr/bin/env -S python3 -B
"""Runs one checker over all files of its kind: style.py CHECKER [--fix]."""
import concurrent.futures
import re
import shutil
import sys

import tree

CXX = (".c", ".cc", ".h", ".hpp")


def shell_files():
    return [f for f in tree.files("") if f.endswith(".sh") or re.match(r"#!.*\b(ba)?sh\b", tree.read(f)[:40])]


def product_sources():
    return [f for f in tree.files(".cc") if f.startswith(("core/", "capi/", "backends/"))]


def beginning(text):
    return "\n".join([line for line in text.splitlines() if "warnings generated" not in line][:20])


def main():
    checker, fix = sys.argv[1], "--fix" in sys.argv
    if not shutil.which(checker):
        tree.skip("no " + checker)
    flags = []
    if checker == "shellcheck":
        command, files = ["shellcheck", "-x"], shell_files()
    elif checker == "clang-format":
        version = re.search(r"version (\d+)", tree.output("clang-format", "--version")).group(1)
        if version != "14":  # Debian 12's; others format differently
            tree.skip("clang-format 14 is wanted, this is " + version)
        command, files = ["clang-format", "-i" if fix else "--dry-run", "--Werror"], tree.files(*CXX)
    elif checker == "clang-tidy":
        command, files = ["clang-tidy", "--quiet"], product_sources()
        flags = ["--", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-I.", "-Icapi"]
        # A fifth of what the analyser would look at in large functions: a fifth of its time.
        flags += ["-Xclang", "-analyzer-config", "-Xclang", "max-nodes=40000"]
    elif checker == "buildifier":
        command = ["buildifier", "--mode=check", "--lint=warn"]
        files = [f for f in tree.files("BUILD.bazel", ".BUILD", ".bzl", "MODULE.bazel", "WORKSPACE")
                 if "/shim/" not in f]  # stand-ins are native rules on purpose
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda f: (f, *tree.run(*command, f, *flags)), files)
        problems = ["%s:\n%s" % (f, beginning(text)) for f, code, text in results if code]
    if problems and checker == "clang-format":
        problems.append("harness/run check --fix-format formats all of them")
    tree.finish(problems, len(files))


if __name__ == "__main__":
    main()
