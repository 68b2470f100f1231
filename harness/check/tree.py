"""What the checks share: the source tree, and how they end."""
import os
import subprocess
import sys


def root():
    """The source tree, from inside a test too: its runfiles are links into it."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def files(*suffixes):
    """All source files with such a name, relative to root()."""
    found = []
    for folder, folders, names in os.walk(root()):
        folders[:] = sorted(f for f in folders if f != ".git" and not os.path.islink(os.path.join(folder, f)))
        found += [os.path.relpath(os.path.join(folder, n), root()) for n in sorted(names) if n.endswith(suffixes)]
    return found


def read(path):
    with open(os.path.join(root(), path), errors="replace") as f:
        return f.read()


def run(*command, **kwargs):
    """Runs a command in the source tree and returns (exit code, all it said)."""
    kwargs.setdefault("cwd", root())
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    return done.returncode, done.stdout


def output(*command, **kwargs):
    code, text = run(*command, **kwargs)
    if code:
        sys.exit("%s: exit code %d\n%s" % (" ".join(command), code, text))
    return text


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(0)


def finish(problems, looked_at):
    """Ends the check; one that looked at nothing has failed."""
    for problem in problems:
        print(problem)
    if not looked_at:
        problems = problems or [print("nothing to check: the check itself is broken")]
    print("%d looked at, %d problems" % (looked_at, len(problems)))
    sys.exit(1 if problems else 0)
