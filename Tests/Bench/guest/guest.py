#!/usr/bin/env python3
"""Runs a command in a kernel of its own: a user-mode Linux with simulated GPIO chips, in which it is root.

    guest.py [--virtual-time|--machine] [--timeout S] [--cwd DIR] [--env NAME=VALUE]... -- COMMAND [ARGUMENT]...

The guest sees the host's files as they are and keeps what it writes in memory; only /run/guest is a folder of the host, and is
removed afterwards. It has one processor, a loopback and nothing else of the host's: no processes, no network. It needs no rights.

With --virtual-time the clock jumps to the next thing that is due while everything in the guest waits, and computing takes no time:
an hour passes in a second. Nothing outside keeps its pace, and edges of a line with no wait between them become one.

With --machine it is a whole computer instead, emulated by QEMU, with Debian's own kernel and two processors: ten times as slow, and
closer to the field.

Prints what the command prints, and ends as it does; 125 means that the guest itself failed, and says why.
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEMORY_MB = 1024
FAILED = 125


class NoGuest(Exception):
    """Why there is no kernel to run."""


def kernel(builds=False):
    """The kernel's path; builds it where that is asked for."""
    done = subprocess.run(
        [HERE / "build-kernel", *([] if builds else ["--probe"])], stdout=subprocess.PIPE, text=True,
        stderr=None if builds else subprocess.PIPE)
    if done.returncode == 1:
        raise NoGuest("the guest's kernel is not built; `make guest` builds it")
    if done.returncode:
        raise NoGuest((done.stderr or "the guest's kernel cannot be built").strip().removeprefix("build-kernel: "))
    return done.stdout.strip()


def machine():
    """The folder with the kernel and the initrd for QEMU."""
    done = subprocess.run([HERE / "build-machine"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise NoGuest("the machine cannot be built")
    return Path(done.stdout.strip())


def kernel_words(folder, virtual_time):
    return [
        kernel(), f"mem={MEMORY_MB}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", f"guest.out={folder}",
        "i2c_stub.chip_addr=0x20,0x21", f"umid={folder.name}", f"uml_dir={folder}/", f"init={HERE}/init", "con=null", "con0=null,fd:1", "ssl=null",
        *(["time-travel=inf-cpu"] if virtual_time else [])]


def machine_words(folder):
    files = machine()
    # Nothing that the guest could do without: each device costs time at the start. Self-tests of ciphers take seconds when emulated.
    return [
        "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "2", "-m", "2048",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-kernel", str(files / "vmlinuz"),
        "-initrd", str(files / "initrd"), "-serial", "stdio",
        "-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=unstable random.trust_cpu=on nokaslr cryptomgr.notests "
        "audit=0 selinux=0 apparmor=0",
        "-virtfs", "local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap",
        "-virtfs", f"local,path={folder},mount_tag=out,security_model=none"]


def run(command, timeout=60, virtual_time=False, cwd="/", env=None, is_machine=False):
    """Runs the shell text `command`; returns its status, output, errors, and the kernel's last words."""
    folder = Path(tempfile.mkdtemp(prefix="lkd-guest-"))
    try:
        # Scenarios hold to closer limits where computing takes no time.
        env = {**(env or {}), **({"LOCKERD_VIRTUAL_TIME": "1"} if virtual_time else {})}
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
        (folder / "command").write_text(f"{exports}cd {shlex.quote(str(cwd))}\n{command}\n")
        words = machine_words(folder) if is_machine else kernel_words(folder, virtual_time)
        with open(folder / "console", "wb") as console:
            # A group of its own: a kernel consists of several processes, and none of them may stay.
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                child.wait(timeout)
                late = ""
            except subprocess.TimeoutExpired:
                late = f"not within {timeout:g} s; "
            finally:
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                child.wait()

        def text(name):
            path = folder / name
            return path.read_text(errors="replace") if path.exists() else ""

        status = text("status").strip()
        last = "" if status else late + text("console")[-2000:]
        return int(status or FAILED), text("stdout"), text("stderr"), last
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--virtual-time", action="store_true")
    parser.add_argument("--machine", action="store_true")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--cwd", default=os.getcwd())
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    try:
        status, out, err, last = run(
            shlex.join(options.command), options.timeout, options.virtual_time, options.cwd,
            dict(pair.split("=", 1) for pair in options.env), options.machine)
    except NoGuest as problem:
        sys.exit(f"guest: {problem}")
    sys.stdout.write(out)
    sys.stderr.write(err)
    if last:
        sys.stderr.write(f"guest: {last}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
