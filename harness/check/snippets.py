#!/usr/bin/env -S python3 -B
"""Code in Markdown is code that runs: a fenced block after <!-- file: PATH --> equals that file.

In README.md every block of a programming language must have such a comment.
"""
import os
import re

import tree

BLOCK = re.compile(r"^(?:<!-- file: (\S+) -->\s*\n)?```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
LANGUAGES = {"c", "cc", "cpp", "go", "java", "python", "rust"}


def main():
    if not os.path.exists(os.path.join(tree.root(), "README.md")):
        tree.skip("no README.md yet")
    problems, seen = [], 0
    for document in tree.files(".md"):
        for path, language, code in BLOCK.findall(tree.read(document)):
            seen += 1
            if path and not os.path.exists(os.path.join(tree.root(), path)):
                problems.append("%s: no file %s" % (document, path))
            elif path and tree.read(path) != code:
                problems.append("%s: the block is not what %s holds" % (document, path))
            elif not path and document == "README.md" and language in LANGUAGES:
                problems.append("%s: a block of %s names no file:\n%s" % (document, language, code))
    tree.finish(problems, seen)


if __name__ == "__main__":
    main()
