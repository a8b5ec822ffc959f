/**
 * Two machines of a kind: network namespaces with a cable between them.
 *
 * @module
 */

const IP = findIp();

/** Two hosts that reach each other and nothing else. */
export class TwoHosts implements AsyncDisposable {
  readonly #names: string[];

  private constructor(names: string[]) {
    this.#names = names;
  }

  static async create(): Promise<TwoHosts> {
    const unique = crypto.randomUUID().slice(0, 8);
    const [a, b] = [`p2p-${unique}-a`, `p2p-${unique}-b`];
    const hosts = new TwoHosts([a, b]);
    try {
      for (const name of [a, b]) await ip("netns", "add", name);
      await ip(
        "link",
        "add",
        "eth0",
        "netns",
        a,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        b,
      );
      for (const [i, name] of [a, b].entries()) {
        await ip("-n", name, "addr", "add", `${hosts.address(i)}/24`, "dev", "eth0");
        for (const link of ["lo", "eth0"]) await ip("-n", name, "link", "set", link, "up");
      }
      return hosts;
    } catch (error) {
      await hosts[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The address of the first or the second host. */
  address(host: number): string {
    return `192.168.77.${host + 1}`;
  }

  /** What starts a program on that host. */
  on(host: number): { wrap: string[] } {
    return { wrap: [IP ?? "", "netns", "exec", this.#names[host] ?? ""] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names) await ip("netns", "del", name).catch(() => {});
  }
}

/** Why there can be no {@linkcode TwoHosts} here. */
export async function whyNoHosts(): Promise<string | undefined> {
  const needs = ["run", "read", "write"] as const;
  if (needs.some((name) => Deno.permissions.querySync({ name }).state !== "granted")) {
    return undefined;
  }
  if (IP === undefined) return "needs ip of iproute2";
  try {
    await using _ = await TwoHosts.create();
    return undefined;
  } catch {
    return "may not make network namespaces";
  }
}

function findIp(): string | undefined {
  if (Deno.permissions.querySync({ name: "read" }).state !== "granted") return undefined;
  return ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

async function ip(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(IP ?? "", { args }).output();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
