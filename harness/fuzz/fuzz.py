#!/usr/bin/env -S python3 -B
"""Runs the fuzzers: fuzz.py [SECONDS] [TARGET]; 60 seconds each and all of them without arguments."""
import os
import re
import subprocess
import sys
import tempfile

TARGETS = ["hello", "uri", "ring", "channel", "tcp_frames", "tcp_hello", "hosts", "lists", "mesh_identity", "op_frames"]
PROGRESS = re.compile(r"#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+).*exec/s: (\d+)")
STEP = 5  # seconds of one slice, after each of which a line is printed


def build():
    labels = ["//harness/fuzz:" + t for t in TARGETS]
    subprocess.run(["bazel", "build", "--jobs=2", "--config=fuzz", *labels], check=True, stdin=subprocess.DEVNULL)
    return os.path.realpath("bazel-bin") + "/harness/fuzz/"


def run_slice(program, corpus, seconds, keep):
    """One call of the fuzzer: its exit code, runs, features and what it printed."""
    done = subprocess.run([program, corpus, "-max_total_time=%d" % seconds, "-max_len=4096", "-timeout=10",
                           "-rss_limit_mb=2048", "-artifact_prefix=" + keep],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace")
    found = PROGRESS.findall(text)
    runs, _, features, _ = (int(n) for n in found[-1]) if found else (0, 0, 0, 0)
    return done.returncode, runs, features, text


def fuzz(folder, target, seconds, keep):
    program, runs, features, spent = folder + target, 0, 0, 0
    with tempfile.TemporaryDirectory() as corpus:
        subprocess.run([program, "--write-seeds=" + corpus], check=True)
        while spent < seconds:
            step = min(STEP, seconds - spent)
            code, more, features, text = run_slice(program, corpus, step, keep)
            runs, spent = runs + more, spent + step
            if code:
                print(text[-6000:])
                return "%-10s FAILED after %d runs; the input is in %s, try: %s FILE" % (target, runs, keep, program), 1
            print("  %-10s %3d of %d s, %d runs, %d features" % (target, spent, seconds, runs, features), flush=True)
    if runs == 0:
        return "%-10s FAILED: it did not run at all" % target, 1
    return "%-10s %d runs in %d s, %d features, 0 failures" % (target, runs, seconds, features), 0


def main():
    args = sys.argv[1:]
    seconds = int(args.pop(0)) if args and args[0].isdigit() else 60
    wanted = args or TARGETS
    if seconds < 1 or not set(wanted) <= set(TARGETS):
        sys.exit("usage: fuzz [SECONDS] [TARGET...], a target is one of: " + " ".join(TARGETS))
    keep = tempfile.mkdtemp(prefix="rc-fuzz-") + "/"
    os.chdir(os.path.dirname(os.path.realpath(__file__)) + "/../..")
    folder = build()
    results = [fuzz(folder, target, seconds, keep) for target in wanted]
    print("\n".join(line for line, _ in results))
    if not any(bad for _, bad in results):
        os.rmdir(keep)
    sys.exit(any(bad for _, bad in results))


if __name__ == "__main__":
    main()
