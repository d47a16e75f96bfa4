"""Runs a program with the capabilities and system calls that a unit file leaves it, as far as that works without systemd.

    confined.py UNIT PROGRAM ARGUMENT...
"""
import ctypes
import os
import subprocess
import sys

PR_CAPBSET_DROP = 24
ALLOW = 0x7FFF0000
DENY = 0x00050000 | 1  # EPERM
NO_NEW_PRIVILEGES_ATTRIBUTE = 3


def words(lines, key):
    """The words of all lines of a setting; those of lines that begin with ~ apart."""
    values = [line.split("=", 1)[1] for line in lines if line.startswith(key + "=")]
    plain = [word for value in values if not value.startswith("~") for word in value.split()]
    without = [word for value in values if value.startswith("~") for word in value[1:].split()]
    return plain, without


def calls(group):
    """The system calls of a group such as @mount, or the one that is named."""
    if not group.startswith("@"):
        return {group}
    listing = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    found = set()
    for line in listing.stdout.splitlines()[1:]:
        name = line.strip()
        if name and not name.startswith("#"):
            found |= calls(name)
    return found


def drop_capabilities(keep, libc):
    with open("/proc/sys/kernel/cap_last_cap") as last:
        count = int(last.read()) + 1
    libcap = ctypes.CDLL("libcap.so.2")
    number = ctypes.c_int()
    kept = set()
    for name in keep:
        if libcap.cap_from_name(name.lower().encode(), ctypes.byref(number)) != 0:
            raise SystemExit("no such capability: " + name)
        kept.add(number.value)
    for capability in set(range(count)) - kept:
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise SystemExit(f"capability {capability} cannot be dropped")


def filter_calls(allowed):
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(DENY))
    seccomp.seccomp_attr_set(context, NO_NEW_PRIVILEGES_ATTRIBUTE, 0)
    for name in allowed:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        # Negative: not of this processor.
        if number >= 0 and seccomp.seccomp_rule_add_array(context, ALLOW, number, 0, None) != 0:
            raise SystemExit("no filter for " + name)
    if seccomp.seccomp_load(context) != 0:
        raise SystemExit("the filter of system calls cannot be loaded")


def main(unit, command):
    with open(unit) as file:
        lines = file.read().splitlines()
    allowed, without = words(lines, "SystemCallFilter")
    capabilities, _ = words(lines, "CapabilityBoundingSet")
    assert allowed and capabilities
    names = set().union(*map(calls, allowed)) - set().union(*map(calls, without))
    drop_capabilities(capabilities, ctypes.CDLL(None))
    filter_calls(names)
    os.execvp(command[0], command)


main(sys.argv[1], sys.argv[2:])
