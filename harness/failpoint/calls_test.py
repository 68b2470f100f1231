#!/usr/bin/env -S python3 -B
"""Every libc function that the library calls is either wrapped (calls.bzl) or known to call no system: calls_test.py OBJECT..."""
import os
import re
import subprocess
import sys

# rdma's own: its failures need a device, or no device, and are tried by harness/rdma and in the rdma lane.
# pthread_create: by harness/scale/progress_test.cc.
TRIED_ELSEWHERE = {"access", "dlerror", "dlopen", "dlsym", "pthread_create", "pthread_once", "strerror"}
# They touch only what they are given, or ask what cannot fail.
NO_FAILURE = set("""
    abort clock_gettime freeaddrinfo freeifaddrs gai_strerror getegid geteuid getgid gethostname getpid getuid getrlimit inet_ntop
    inet_pton memchr memcmp memcpy memmove memset pthread_join pthread_mutex_destroy pthread_mutex_init
    pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock pthread_sigmask sigfillset snprintf strcat
    strchr strcmp strcpy strcspn strerror_r strlen strncat strncmp strncpy strnlen strrchr strspn strstr strtoul strtoull
    vsnprintf
""".split())
COMPILERS_OWN = re.compile("_GLOBAL_OFFSET_TABLE_|__(stack_chk_fail|tls_get_addr|errno_location|[at]san_.*|ubsan_.*|gcov_.*)$")


def names(flag, objects):
    rows = subprocess.run(["nm", "-P", flag, *objects], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return {row.split()[0] for row in rows if len(row.split()) > 1}


def main():
    here = os.path.dirname(os.path.realpath(__file__))
    with open(os.path.join(here, "calls.bzl")) as f:
        wrapped = set(re.findall(r'^    "(\w+)",$', f.read(), re.M))
    taken = names("-u", sys.argv[1:]) - names("--defined-only", sys.argv[1:])
    # A checked twin of _FORTIFY_SOURCE must be wrapped under its own name.
    missing = sorted(name for name in taken - wrapped
                     if re.sub(r"^__(\w+)_chk$", r"\1", name) not in NO_FAILURE | TRIED_ELSEWHERE
                     and not COMPILERS_OWN.match(name))
    for name in missing:
        print("%s: not wrapped, so its failure is not tried: add it to calls.bzl, wrap.cc and fault.cc" % name)
    print("%d functions looked at, %d of them wrapped" % (len(taken), len(taken & wrapped)))
    sys.exit(1 if missing or not taken & wrapped else 0)


if __name__ == "__main__":
    main()
