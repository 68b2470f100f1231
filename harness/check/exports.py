#!/usr/bin/env -S python3 -B
"""The shared library exports what capi/rc.h declares and needs libc only: exports.py LIBRARY."""
import os
import re
import sys

import manual
import tree

NEEDED = {"libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def main():
    library = os.path.abspath(sys.argv[1])
    rows = [row.split() for row in tree.output("nm", "-D", "--defined-only", library).splitlines()]
    exported = {row[2].split("@")[0] for row in rows if row[1] in "TDBRVWi"}
    declared = set(manual.functions())
    problems = ["%s: exported, but capi/rc.h does not declare it" % s for s in sorted(exported - declared)]
    problems += ["%s: in capi/rc.h, but not exported" % s for s in sorted(declared - exported)]
    problems += ["%s: a name of the C ABI begins with rc_" % s for s in sorted(exported) if not s.startswith("rc_")]
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", tree.output("readelf", "-d", library)))
    problems += ["%s: needed, but only libc may be" % s for s in sorted(needed - NEEDED)]
    if not needed:
        problems.append("no NEEDED at all: is this the library?")
    tree.finish(problems, len(declared))


if __name__ == "__main__":
    main()
