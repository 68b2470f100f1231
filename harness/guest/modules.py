#!/usr/bin/env python3
"""Prints the files of kernel modules, each after those it depends on: modules.py MODULES.DEP NAME..."""
import os
import sys


def read(path):
    needs, by_name = {}, {}
    with open(path) as f:
        for line in f:
            module, _, others = line.partition(":")
            needs[module] = others.split()
            by_name[os.path.basename(module).split(".ko")[0].replace("-", "_")] = module
    return needs, by_name


def main():
    needs, by_name = read(sys.argv[1])
    order = []

    def add(module):
        if module in order:
            return
        for other in needs[module]:
            add(other)
        order.append(module)

    for name in sys.argv[2:]:
        if name in by_name:  # else it is built in
            add(by_name[name])
    print("\n".join(order))


if __name__ == "__main__":
    main()
