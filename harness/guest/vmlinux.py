#!/usr/bin/env python3
"""Takes the ELF kernel out of a compressed one, so that the emulated processor need not: vmlinux.py VMLINUZ VMLINUX"""
import subprocess
import sys

FORMATS = (
    (b"\xfd7zXZ\0", ["xz", "-dc"]),
    (b"\x28\xb5\x2f\xfd", ["zstd", "-dc"]),
    (b"\x02\x21\x4c\x18", ["lz4", "-dc"]),
    (b"\x1f\x8b\x08", ["gzip", "-dc"]),
)


def main():
    with open(sys.argv[1], "rb") as f:
        image = f.read()
    for magic, command in FORMATS:
        at = image.find(magic)
        while at >= 0:
            # What follows the payload makes the program complain; the payload is out by then.
            result = subprocess.run(command, input=image[at:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if result.stdout[:4] == b"\x7fELF":
                with open(sys.argv[2], "wb") as f:
                    f.write(result.stdout)
                return 0
            at = image.find(magic, at + 1)
    print("%s: no compressed ELF kernel found in it" % sys.argv[1], file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
