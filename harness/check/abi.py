#!/usr/bin/env -S python3 -B
"""The ABI of the shared library is the reference's: abi.py LIBRARY.

With RC_UPDATE_ABI=FILE in the environment, writes the reference instead.
"""
import os
import shutil
import sys

import tree

REFERENCE = "harness/check/ringchan.abi"


def main():
    library = os.path.abspath(sys.argv[1])
    update = os.environ.get("RC_UPDATE_ABI")
    reference = os.path.join(tree.root(), REFERENCE)
    if not shutil.which("abidw"):
        tree.skip("no abidw (package abigail-tools)")
    if not update and not os.path.exists(reference):
        tree.skip("no reference yet; harness/run check --update-abi writes %s" % REFERENCE)
    dump = update or os.path.join(os.environ["TEST_TMPDIR"], "new.abi")
    tree.output("abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--exported-interfaces-only",
                "--no-elf-needed", "--headers-dir", "capi", "--drop-private-types", "--out-file", dump, library)
    if update:
        print("written: " + REFERENCE)
        return
    code, text = tree.run("abidiff", "--fail-no-debug-info", reference, dump)
    problems = []
    if code:
        problems = [text, "if that is meant: harness/run check --update-abi"]
    tree.finish(problems, 1)


if __name__ == "__main__":
    main()
