"""Runs a command on a terminal of its own (argv: rows, columns, command...) and relays its keys and screen.

Standard input is what is typed, standard output what the terminal shows. Ends with the command's exit code.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

rows, columns, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    # The size must be there before the command looks at it.
    size = struct.pack("HHHH", int(rows), int(columns), 0, 0)
    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
    os.execve(command[0], command, os.environ)

# SIGTERM and SIGINT are for the command.
for name in (signal.SIGTERM, signal.SIGINT):
    signal.signal(name, lambda number, _: os.kill(pid, number))

sources = [0, terminal]
while terminal in sources:
    for source in select.select(sources, [], [])[0]:
        try:
            data = os.read(source, 65536)
        except OSError:  # EIO: the command has closed its terminal
            data = b""
        if not data:
            sources.remove(source)
        target = terminal if source == 0 else 1
        while data:
            data = data[os.write(target, data):]

sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
