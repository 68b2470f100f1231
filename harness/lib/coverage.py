#!/usr/bin/env python3
"""Prints an LCOV report as a table: coverage.py REPORT."""
import sys


def percent(hit, found):
    return "%6.1f %%" % (100.0 * hit / found) if found else "       -"


def main():
    total = dict.fromkeys(("LH", "LF", "BRH", "BRF"), 0)
    print("%-40s %8s %8s" % ("file", "lines", "branches"))
    with open(sys.argv[1]) as report:
        for row in report:
            key, _, value = row.strip().partition(":")
            if key == "SF":
                name, one = value, dict.fromkeys(total, 0)
            elif key in total:
                one[key] = int(value)
                total[key] += int(value)
            elif key == "end_of_record":
                print("%-40s %s %s" % (name, percent(one["LH"], one["LF"]), percent(one["BRH"], one["BRF"])))
    print("%-40s %s %s" % ("total", percent(total["LH"], total["LF"]), percent(total["BRH"], total["BRF"])))
    return 0 if total["LF"] else 1


if __name__ == "__main__":
    sys.exit(main())
