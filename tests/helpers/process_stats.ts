/**
 * What another process costs, on Linux. Programs of the system read it: Deno lets only those that may do everything look
 * into /proc.
 *
 * @module
 */

import { closedPort } from "./closed_port.ts";

const TICKS_PER_SECOND = 100;

/** User and system time of a process so far, seconds. */
export async function cpuOf(pid: number): Promise<number> {
  // Fields 14 and 15 of proc(5), counted after the name, which may hold spaces.
  const stat = await textOf("cat", `/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process, bytes. */
export async function memoryOf(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await textOf("cat", `/proc/${pid}/status`))?.[1]) * 1024;
}

/** The most resident memory that a process has had so far, bytes. */
export async function peakMemoryOf(pid: number): Promise<number> {
  return Number(/VmHWM:\s+(\d+)/.exec(await textOf("cat", `/proc/${pid}/status`))?.[1]) * 1024;
}

/** The sockets that a process has open, and its files below a folder: what Deno opens itself when it likes is left out. */
export async function heldBy(pid: number, folder: string): Promise<string[]> {
  const targets = await textOf("sh", "-c", `ls -l /proc/${pid}/fd | sed -n 's/.* -> //p'`);
  return targets.split("\n")
    .filter((target) => target.startsWith("socket:") || target.startsWith(folder));
}

/** How many descriptors a process has open. */
export async function descriptorsOf(pid: number): Promise<number> {
  return (await textOf("ls", `/proc/${pid}/fd`)).trim().split("\n").length;
}

/** A way into a program of Deno's that is started with {@linkcode Inspector.flag}. */
export class Inspector {
  readonly #port = closedPort();

  /** The flag of `deno run`. */
  get flag(): string {
    return `--inspect=127.0.0.1:${this.#port}`;
  }

  /** Bytes of the program's objects, once those that nothing holds are gone. */
  async heap(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/json`);
    const [{ webSocketDebuggerUrl: url }] = await response.json();
    const socket = new WebSocket(url);
    try {
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      // What the first collection finalizes the second one frees.
      for (let i = 0; i < 2; i++) await call(socket, "HeapProfiler.collectGarbage");
      return (await call(socket, "Runtime.getHeapUsage")).usedSize ?? NaN;
    } finally {
      const closed = new Promise((resolve) => socket.onclose = resolve);
      socket.close();
      await closed;
    }
  }
}

/** Calls a method of the inspector's protocol, one at a time. */
function call(socket: WebSocket, method: string): Promise<Record<string, number>> {
  return new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => {
      const { id, result, error } = JSON.parse(data);
      if (id !== 1) return;
      if (error) reject(new Error(`${method}: ${error.message}`));
      else resolve(result);
    };
    socket.onclose = () => reject(new Error(`${method}: the program has ended`));
    socket.send(JSON.stringify({ id: 1, method }));
  });
}

async function textOf(command: string, ...args: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`${command} ${args.join(" ")}: the process has ended`);
}
