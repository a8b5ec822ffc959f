/**
 * Programs that serve a benchmark: started once, measured by their process id, stopped at the end.
 *
 * @module
 */

import { join } from "@std/path";
import { TextLineStream } from "@std/streams/text-line-stream";

/** A running program. */
export class Service implements AsyncDisposable {
  readonly pid: number;
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #lines: string[] = [];
  #news = Promise.withResolvers<void>();
  #over = false;

  constructor(command: string, args: readonly string[], env: Record<string, string> = {}) {
    this.#process = new Deno.Command(command, {
      args: [...args],
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.pid = this.#process.pid;
    this.#reading = this.#read();
  }

  /** The first JSON line with this `event`. */
  async event(name: string): Promise<Record<string, unknown>> {
    while (true) {
      const found = this.#lines.find((line) => line.includes(`"event":"${name}"`));
      if (found) return JSON.parse(found);
      if (this.#over) throw new Error(`no ${name} came: ${this.#lines.at(-1) ?? "nothing"}`);
      await this.#news.promise;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#reading;
    await this.#process.status;
  }

  async #read(): Promise<void> {
    const lines = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#lines.push(line);
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
    this.#over = true;
    this.#news.resolve();
  }
}

/** A port that nothing listens on now. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** Resolves when something accepts connections on the port of this machine. */
export async function untilListening(port: number): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (tries > 500) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** A throw-away sshd on loopback that accepts one new key; the arguments make ssh and scp use it. */
export async function startSshd(folder: string): Promise<Service & { options: string }> {
  // It refuses to start without the folder that Debian makes when the system's own is started.
  await Deno.mkdir("/run/sshd", { recursive: true });
  const keygen = async (name: string) => {
    await new Deno.Command("ssh-keygen", {
      args: ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)],
    }).output();
  };
  await keygen("host");
  await keygen("user");
  await Deno.copyFile(join(folder, "user.pub"), join(folder, "authorized"));
  const port = freePort();
  await Deno.writeTextFile(
    join(folder, "sshd.conf"),
    [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${join(folder, "host")}`,
      `AuthorizedKeysFile ${join(folder, "authorized")}`,
      "StrictModes no",
      "PermitRootLogin yes",
      "UsePAM no",
      "PidFile none",
      "Subsystem sftp internal-sftp",
      "",
    ].join("\n"),
  );
  const service = new Service("/usr/sbin/sshd", ["-D", "-e", "-f", join(folder, "sshd.conf")]);
  await untilListening(port);
  const options = `-i ${join(folder, "user")} -o Port=${port} -o StrictHostKeyChecking=no ` +
    `-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes`;
  return Object.assign(service, { options });
}
