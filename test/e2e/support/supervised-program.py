"""A program for the supervisor to run: does what it is told to, one step after another.

    supervised-program.py DIR STEP STEP / STEP ...

Each start does the steps of one phase; phases are separated by `/`, and the last one is repeated. DIR counts the starts.
"""
import array
import os
import signal
import socket
import sys
import time


def address():
    name = os.environ["NOTIFY_SOCKET"]
    return "\0" + name[1:] if name.startswith("@") else name


def notify(text, descriptors=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        s.sendmsg([text.encode("latin-1")], rights, 0, address())


def barrier():
    """Returns when the supervisor has dealt with everything sent before."""
    mine, theirs = os.pipe()
    notify("BARRIER=1", [theirs])
    os.close(theirs)
    os.read(mine, 1)


def memory(content):
    descriptor = os.memfd_create("deposit")
    os.write(descriptor, content.encode())
    return descriptor


def listened():
    """What came with the start: name=content for files, name alone for the rest."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = os.environ["LISTEN_FDNAMES"].split(":")
    assert len(names) == int(os.environ["LISTEN_FDS"])
    found = []
    for number, name in enumerate(names, start=3):
        try:
            found.append(name + "=" + os.pread(number, 100, 0).decode())
        except OSError:
            found.append(name)
    return found


def say(text):
    os.write(1, (text + "\n").encode())


kept = []


def hang_up_pair(name):
    reading, writing = os.pipe()
    kept.append(writing)
    notify(f"FDSTORE=1\nFDNAME={name}", [reading])


def on_signals(names):
    for name in names.split(","):
        signal.signal(signal.Signals[name], lambda number, _: say("got " + signal.Signals(number).name))


def step(word):
    verb, _, value = word.partition(":")
    if verb == "say":
        say(value)
    elif verb == "notify":
        notify(value.replace("\\n", "\n").replace("\\0", "\0"))
    elif verb == "store":
        name, _, content = value.partition("=")
        notify(f"FDSTORE=1\nFDNAME={name}", [memory(content)])
    elif verb == "store-many":
        for i in range(int(value)):
            notify("FDSTORE=1\nFDNAME=many", [memory(str(i))])
    elif verb == "store-twice":
        descriptor = memory("x")
        notify(f"FDSTORE=1\nFDNAME={value}1", [descriptor])
        notify(f"FDSTORE=1\nFDNAME={value}2", [descriptor])
    elif verb == "store-pipe":
        hang_up_pair(value)
    elif verb == "raw-store":
        notify(value.replace("\\n", "\n"), [memory("raw")])
    elif verb == "child-notify":
        # Another process than the one that was started.
        if os.fork() == 0:
            notify(value, [memory("stranger")])
            os._exit(0)
        os.wait()
    elif verb == "barrier":
        barrier()
    elif verb == "ready":
        notify("READY=1")
    elif verb == "listened":
        say("listened " + ",".join(listened()))
    elif verb == "environment":
        say(f"{value}={os.environ.get(value, '')}")
    elif verb == "pid-is":
        say(f"{value} is {'mine' if os.environ.get(value) == str(os.getpid()) else 'not mine'}")
    elif verb == "group":
        say("group is " + ("mine" if os.getpgrp() == os.getpid() else "not mine"))
    elif verb == "nice":
        say("nice " + ("urgent" if os.nice(0) < 0 else "usual"))
    elif verb == "kill":
        os.kill(os.getpid(), signal.Signals["SIG" + value])
    elif verb == "exit":
        os._exit(int(value))
    elif verb == "signals":
        on_signals(value)
    elif verb == "await-signal":
        signal.pause()
    elif verb == "ignore":
        signal.signal(signal.Signals[value], signal.SIG_IGN)
    elif verb == "sleep":
        time.sleep(float(value))
    elif verb == "feed":
        # Signs of life, often enough, for so many intervals.
        interval = int(os.environ["WATCHDOG_USEC"]) / 1e6
        for _ in range(int(float(value) * 4)):
            notify("WATCHDOG=1")
            time.sleep(interval / 4)
    elif verb == "orphaned":
        # Until the supervisor is gone.
        parent = os.getppid()
        os.kill(parent, signal.SIGKILL)
        while os.getppid() == parent:
            time.sleep(0.01)
        say("alive without a supervisor")
    else:
        raise SystemExit("no such step: " + word)


def main(directory, words):
    phase = len(os.listdir(directory))
    open(os.path.join(directory, str(phase)), "w").close()
    phases = " ".join(words).split(" / ")
    for word in phases[min(phase, len(phases) - 1)].split(" "):
        step(word)


main(sys.argv[1], sys.argv[2:])
