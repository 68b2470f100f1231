#!/usr/bin/env -S python3 -B
"""Every function of capi/rc.h has a comment with the fixed fields, and names its parameters."""
import re

import tree

FIELDS = ["Parameters", "Returns", "Blocks", "Threads", "Order", "Since"]


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def declarations(text):
    """Yields (name, parameter list, text between the previous declaration and this one)."""
    code = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
    code = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", blank, code, flags=re.M)
    for match in re.finditer(r"\b(rc_\w+)\s*\((?!\s*\*)([^()]*(?:\([^()]*\)[^()]*)*)\)\s*;", code):
        start = max(code.rfind(c, 0, match.start()) for c in ";{}") + 1
        first = start + re.search(r"\S", code[start:]).start()  # the return type
        yield match.group(1), match.group(2), text[start:first]


def functions():
    return [name for name, _, _ in declarations(tree.read("capi/rc.h"))]


def parameters(text):
    for one in text.split(","):
        words = re.findall(r"\w+", re.sub(r"\[.*?\]", "", one))
        if words and words != ["void"]:
            yield words[-1]


def problems_of(parameter_list, above):
    comment = re.search(r"/\*((?:(?!\*/).)*)\*/\s*$", above, re.S)
    if not comment:
        return ["has no comment right above it"]
    text = re.sub(r"^[ \t]*\*+", "", comment.group(1), flags=re.M)
    parts = re.split(r"\b(%s):" % "|".join(FIELDS), text)
    if not re.match(r"[\s*]*[A-Z][^.]*\w.*[.]\s*$", parts[0], re.S):
        return ["does not begin with a sentence"]
    if parts[1::2] != FIELDS:
        return ["has the fields %s, not %s" % (", ".join(parts[1::2]) or "none", ", ".join(FIELDS))]
    fields = dict(zip(parts[1::2], parts[2::2]))
    found = ["has an empty field %s" % name for name in FIELDS if not re.search(r"\w", fields[name])]
    if not re.search(r"\bas rc_\w+", fields["Parameters"]):
        found += ["does not tell of its parameter %s" % p for p in parameters(parameter_list)
                  if not re.search(r"\b%s\b" % p, fields["Parameters"])]
    return found


def main():
    problems, seen = [], 0
    for name, parameter_list, above in declarations(tree.read("capi/rc.h")):
        seen += 1
        problems += ["capi/rc.h: %s %s" % (name, p) for p in problems_of(parameter_list, above)]
    tree.finish(problems, seen)


if __name__ == "__main__":
    main()
