#!/usr/bin/env python3
"""Stands in for Bazel's coverage tools, a Java program that it would download.

--coverage_dir: runs gcov over a test's .gcda files and writes one LCOV report.
--reports_file: merges the tests' reports into one (--combined_report=lcov).
"""
import argparse
import collections
import json
import os
import subprocess
import sys


class File:
    def __init__(self):
        self.lines = collections.Counter()
        self.branches = collections.Counter()  # (line, number in line)
        self.calls = collections.Counter()
        self.starts = {}


def from_gcov(directory, manifest):
    with open(manifest) as f:
        wanted = {line.strip() for line in f}
    files = collections.defaultdict(File)
    for folder, _, names in os.walk(directory):
        for name in names:
            if not name.endswith(".gcda") or not os.path.exists(os.path.join(folder, name[:-4] + "gcno")):
                continue
            out = subprocess.run([os.path.join(directory, "gcov"), "-b", "-i", "-t", name], cwd=folder,
                                 stdout=subprocess.PIPE, check=True).stdout
            for doc in out.splitlines():
                for entry in json.loads(doc)["files"]:
                    path = entry["file"].replace("/proc/self/cwd/", "", 1)
                    if path in wanted:
                        add_gcov(files[path], entry)
    return files


def add_gcov(file, entry):
    for line in entry["lines"]:
        number = line["line_number"]
        file.lines[number] += line["count"]
        for i, branch in enumerate(b for b in line["branches"] if not b["throw"]):
            file.branches[number, i] += branch["count"]
    for function in entry["functions"]:
        file.calls[function["name"]] += function["execution_count"]
        file.starts[function["name"]] = function["start_line"]


def from_reports(listing):
    files = collections.defaultdict(File)
    with open(listing) as f:
        reports = f.read().split()
    for report in reports:
        if not os.path.exists(report) or not report.endswith(".dat") or "baseline" in report:
            continue
        with open(report) as f:
            for row in f:
                key, _, value = row.strip().partition(":")
                if key == "SF":
                    file = files[value]
                elif key == "DA":
                    number, count = value.split(",")[:2]
                    file.lines[int(number)] += int(count)
                elif key == "BRDA":
                    number, _, i, count = value.split(",")
                    file.branches[int(number), int(i)] += int(count)
                elif key == "FN":
                    start, name = value.split(",", 1)
                    file.starts[name] = int(start)
                elif key == "FNDA":
                    count, name = value.split(",", 1)
                    file.calls[name] += int(count)
    return files


def write(files, out):
    for path, file in sorted(files.items()):
        out.write("SF:%s\n" % path)
        for name, start in sorted(file.starts.items()):
            out.write("FN:%d,%s\nFNDA:%d,%s\n" % (start, name, file.calls[name], name))
        for (number, i), count in sorted(file.branches.items()):
            out.write("BRDA:%d,0,%d,%d\n" % (number, i, count))
        for number, count in sorted(file.lines.items()):
            out.write("DA:%d,%d\n" % (number, count))
        for kind, counts in (("BR", file.branches), ("L", file.lines)):
            out.write("%sF:%d\n%sH:%d\n" % (kind, len(counts), kind, sum(1 for c in counts.values() if c)))
        out.write("end_of_record\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--coverage_dir")
    parser.add_argument("--source_file_manifest")
    parser.add_argument("--reports_file")
    parser.add_argument("--output_file", required=True)
    args, _ = parser.parse_known_args()
    if args.reports_file:
        files = from_reports(args.reports_file)
    else:
        files = from_gcov(args.coverage_dir, args.source_file_manifest)
    with open(args.output_file, "w") as out:
        write(files, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
