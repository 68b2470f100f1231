#!/usr/bin/env python3
"""Counts the tests of some lanes: summary.py DIRECTORY LANE...

DIRECTORY holds LANE.json (Bazel's build events) and LANE.status (its exit code), or a folder LANE
with what harness/guest/lane leaves: NAME.xml and NAME.status of each program. GoogleTest cases
count one by one; any other test counts as one, and as skipped if its log has a line "SKIP: reason".
A test that was not built or not run, and a lane that ran no test, count as failed.
"""
import json
import os
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []  # (name, reason)


def path_of(result, name):
    for output in result.get("testActionOutput", []):
        if output["name"] == name:
            return urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
    return ""


def cases_of(xml):
    """GoogleTest's cases, or None where Bazel made up the file for another kind of test."""
    try:
        tree = ElementTree.parse(xml).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    return list(tree.iter("testcase")) if tree.get("tests") is not None else None


def count_cases(label, cases, count):
    for case in cases:
        name = "%s %s.%s" % (label, case.get("classname"), case.get("name"))
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed.append(name)
        elif skipped is not None:
            # GoogleTest puts "file:line" before the reason.
            lines = skipped.get("message", "").strip().split("\n")
            count.skipped.append((name, " ".join(lines[1:] or lines).strip() or "no reason given"))
        elif case.get("status") == "notrun":
            count.skipped.append((name, "disabled"))
        else:
            count.passed += 1


def count_result(label, result, count):
    """One run of one test target (one shard of it)."""
    cases = cases_of(path_of(result, "test.xml"))
    failed_before = len(count.failed)
    if cases is not None:
        count_cases(label, cases, count)
    if result["status"] != "PASSED":
        if len(count.failed) == failed_before:
            count.failed.append("%s (%s)" % (label, result["status"].lower()))
    elif cases is None:
        with open(path_of(result, "test.log"), errors="replace") as log:
            skip = re.search(r"^SKIP: *(.*)$", log.read(), re.M)
        if skip:
            count.skipped.append((label, skip.group(1)))
        else:
            count.passed += 1
    elif not cases:
        count.failed.append("%s (holds no test)" % label)


def read_line(path):
    try:
        with open(path) as f:
            return f.read().strip()
    except OSError:
        return None


def count_programs(folder):
    """A lane of programs that Bazel has built but not run."""
    count = Count()
    skipped, failed = (read_line(os.path.join(folder, name)) for name in ("skipped", "failed"))
    if skipped:
        count.skipped.append(("all tests", skipped))
        return count
    if failed:
        count.failed.append(failed)
    names = sorted(name[:-len(".status")] for name in os.listdir(folder) if name.endswith(".status"))
    for name in names:
        failed_before = len(count.failed)
        count_cases(name, cases_of(os.path.join(folder, name + ".xml")) or [], count)
        status = read_line(os.path.join(folder, name + ".status"))
        if status != "0" and len(count.failed) == failed_before:
            count.failed.append("%s (exit code %s)" % (name, status))
    unfinished = {name[:-len(".log")] for name in os.listdir(folder) if name.endswith(".log")} - set(names)
    count.failed += ["%s (did not end)" % name for name in sorted(unfinished)]
    if not names and not count.failed:
        count.failed.append("no test ran")
    return count


def count_lane(directory, lane):
    if os.path.isdir(os.path.join(directory, lane)):
        return count_programs(os.path.join(directory, lane))
    count = Count()
    wanted, results = set(), {}
    try:
        with open(os.path.join(directory, lane + ".json")) as f:
            events = [json.loads(line) for line in f if line.strip()]
        with open(os.path.join(directory, lane + ".status")) as f:
            status = int(f.read())
    except (OSError, ValueError):
        events, status = [], 1
    for event in events:
        key = event["id"]
        if "testSize" in event.get("configured", {}):
            wanted.add(key["targetConfigured"]["label"])
        elif "testResult" in event:
            # Attempts of one shard come in order: the last one counts.
            at = key["testResult"]
            results[at["label"], at.get("run", 1), at.get("shard", 1)] = event["testResult"]
    for (label, _, _), result in sorted(results.items()):
        count_result(label, result, count)
    for label in sorted(wanted - {key[0] for key in results}):
        count.failed.append("%s (not built or not run)" % label)
    if status != 0 and not count.failed:
        count.failed.append("bazel ended with exit code %d" % status)
    if not results and not count.failed:
        count.failed.append("no test ran")
    return count


def main():
    directory, lanes = sys.argv[1], sys.argv[2:]
    counts = {lane: count_lane(directory, lane) for lane in lanes}
    print()
    for lane, count in counts.items():
        for name, reason in count.skipped:
            print("skipped: [%s] %s: %s" % (lane, name, reason))
    for lane, count in counts.items():
        for name in count.failed:
            print("failed: [%s] %s" % (lane, name))
    for lane, count in counts.items():
        print("lane %-11s %5d passed %3d failed %3d skipped" %
              (lane, count.passed, len(count.failed), len(count.skipped)))
    failed = sum(len(count.failed) for count in counts.values())
    print("%d passed, %d failed, %d skipped" %
          (sum(count.passed for count in counts.values()), failed,
           sum(len(count.skipped) for count in counts.values())))
    return 1 if failed or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
