#!/usr/bin/env -S python3 -B
"""Each object file takes from outside the library only what symbols.allow lists: symbols.py OBJECT..."""
import os
import re
import sys

import tree

ALLOW = "harness/check/symbols.allow"


def nm(*arguments):
    rows = [row.split() for row in tree.output("nm", "-P", *arguments).splitlines()]
    return [(row[0], row[1]) for row in rows if len(row) > 1]


def allowed():
    """symbols.allow: "object: symbol ..." lines, "*" for all objects, "#" begins a comment."""
    lists = {}
    for row in re.sub(r"#.*", "", tree.read(ALLOW)).splitlines():
        if row.strip():
            name, _, symbols = row.partition(":")
            lists.setdefault(name.strip(), set()).update(symbols.split())
    return lists


def object_name(path):
    """core/_objs/core/ring.pic.o -> core/ring"""
    return re.sub(r"_objs/[^/]+/(\d+/)?", "", re.sub(r"(\.pic)?\.o$", "", path))


def libc_symbols():
    found = set()
    for library in ("libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"):
        path = tree.output("gcc", "-print-file-name=" + library).strip()
        if os.path.isabs(path):
            found |= {name.split("@")[0] for name, _ in nm("-D", "--defined-only", path)}
    return found


def main():
    objects = {object_name(path): os.path.abspath(path) for path in sys.argv[1:]}
    if len(objects) != len(sys.argv) - 1:
        sys.exit("two object files have one name")
    own = {name for path in objects.values() for name, _ in nm("--defined-only", "-g", path)}
    libc = libc_symbols() | {"_GLOBAL_OFFSET_TABLE_"}
    lists = allowed()
    problems = ["%s: no such object file (%s)" % (name, ALLOW) for name in sorted(set(lists) - set(objects) - {"*"})]
    for name, path in sorted(objects.items()):
        taken = {s for s, kind in nm("-u", path) if kind == "U"} - own - {"_GLOBAL_OFFSET_TABLE_"}
        problems += ["%s: takes %s, which neither the library nor libc has" % (name, s) for s in sorted(taken - libc)]
        # _FORTIFY_SOURCE's checked twins count as the function itself.
        taken = {re.sub(r"^__(\w+)_chk$", r"\1", s) for s in taken & libc}
        new = taken - lists.get("*", set()) - lists.get(name, set())
        if new:
            problems.append('%s: takes new symbols: %s\n  if that is meant, add them to the line "%s:" of %s' %
                            (name, " ".join(sorted(new)), name, ALLOW))
    tree.finish(problems, len(objects))


if __name__ == "__main__":
    main()
