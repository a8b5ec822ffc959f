#!/usr/bin/env python3
"""A line between two network namespaces on which each packet takes its time: kernels without netem have no other.

    delayed_line.py DELAY_MS NAMESPACE ADDRESS/BITS NAMESPACE ADDRESS/BITS

Makes a TUN device `line0` at each end, says `ready`, and passes packets until its standard input ends. Nothing is
dropped and no rate is set. Segments that the kernel leaves to the device to cut (TSO) pass whole, as between a virtual
machine and its host, so that a packet here costs a system call for up to 64 KiB; the MTU that TCP sees is 1500.
"""

import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
LARGEST = 10 + 65536
# Packets of one direction that are read before those that are due are looked at.
AT_ONCE = 64


def device(namespace, address, temporary):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", temporary.encode(), flags))
    fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    steps = [
        ["ip", "link", "set", temporary, "netns", namespace, "name", "line0"],
        ["ip", "-n", namespace, "addr", "add", address, "dev", "line0"],
        ["ip", "-n", namespace, "link", "set", "line0", "up", "txqueuelen", "10000"],
    ]
    for step in steps:
        subprocess.check_call(step)
    return fd


def main():
    delay = float(sys.argv[1]) / 1000
    ends = sys.argv[2:4], sys.argv[4:6]
    a, b = (device(*end, f"line{os.getpid()}{i}") for i, end in enumerate(ends))
    other = {a: b, b: a}
    # When each packet is due at the other end, and the packet.
    waiting = {a: collections.deque(), b: collections.deque()}
    print("ready", flush=True)
    while True:
        due = min((queue[0][0] for queue in waiting.values() if queue), default=None)
        timeout = None if due is None else max(0, due - time.monotonic())
        readable = select.select([a, b, 0], [], [], timeout)[0]
        if 0 in readable and not os.read(0, 1):
            return
        for end in (a, b):
            if end in readable:
                try:
                    for _ in range(AT_ONCE):
                        packet = os.read(end, LARGEST)
                        waiting[other[end]].append((time.monotonic() + delay, packet))
                except BlockingIOError:
                    pass
        now = time.monotonic()
        for end, queue in waiting.items():
            while queue and queue[0][0] <= now:
                try:
                    os.write(end, queue[0][1])
                except BlockingIOError:
                    break
                except OSError:
                    # The device is down: its packets are lost.
                    pass
                queue.popleft()


main()
