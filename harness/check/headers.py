#!/usr/bin/env -S python3 -B
"""Each header of the product compiles alone; rc.h as C99 and as C++17, without a warning."""
import concurrent.futures

import tree

CXX = ["g++", "-std=c++17", "-fno-exceptions", "-fno-rtti"]
CORE = ["-I.", "-Icapi", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]


def compile_alone(job):
    header, command = job
    code, text = tree.run(*command, *CORE, "-", input='#include "%s"\n' % header)
    return ["%s: %s\n%s" % (header, " ".join(command), text)] if code else []


def main():
    headers = [h for h in tree.files(".h", ".hpp") if h.startswith(("core/", "capi/", "backends/"))]
    jobs = [(h, CXX + ["-x", "c++"]) for h in headers]
    jobs += [("rc.h", ["gcc", "-std=c99", "-pedantic", "-x", "c"]), ("rc.h", CXX + ["-pedantic", "-x", "c++"])]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        problems = sum(pool.map(compile_alone, jobs), [])
    tree.finish(problems, len(headers))


if __name__ == "__main__":
    main()
