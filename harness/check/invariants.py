#!/usr/bin/env -S python3 -B
"""Each numbered invariant of core/PROTOCOL.md is cited by the product's code, and each number cited there is one."""
import re

import tree


def main():
    numbers = re.findall(r"^- \*\*([A-Z]\d+)\b", tree.read("core/PROTOCOL.md"), re.M)
    kinds = "".join(sorted({n[0] for n in numbers}))
    cited = {}
    for path in tree.files(".h", ".cc"):
        if path.startswith(("core/", "backends/")):
            for comment in re.findall(r"//.*", tree.read(path)):
                for number in re.findall(r"\b[%s]\d+\b" % kinds, comment):
                    cited.setdefault(number, path)
    problems = ["core/PROTOCOL.md: nothing cites " + n for n in numbers if n not in cited]
    problems += ["%s: PROTOCOL.md has no %s" % (path, n) for n, path in sorted(cited.items()) if n not in numbers]
    tree.finish(problems, len(numbers))


if __name__ == "__main__":
    main()
