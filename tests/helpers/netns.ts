/**
 * Machines of a kind: network namespaces with cables between them, which only root may make. What a firewall does is done
 * by rules of policy routing, since not every kernel has a packet filter.
 *
 * @module
 */

const IP = findTool("ip");
const NFT = findTool("nft");

/** Hosts, and the cables and switches between them, that are gone when the test ends. */
export class Network implements AsyncDisposable {
  readonly #hosts: Host[] = [];

  /** Makes a host with nothing but its loopback. */
  async host(): Promise<Host> {
    const host = new Host(`p2p-${crypto.randomUUID().slice(0, 8)}`);
    await ip("netns", "add", host.namespace);
    this.#hosts.push(host);
    await host.ip("link", "set", "lo", "up");
    return host;
  }

  /**
   * Puts a cable between two hosts.
   *
   * @param ends the host, the name that the device has there, and its addresses with the length of their prefix.
   */
  async cable(...ends: [End, End]): Promise<void> {
    const [a, b] = ends;
    const [there, here] = [
      ["netns", b.host.namespace, "name", b.device ?? "eth0"],
      ["netns", a.host.namespace, "name", a.device ?? "eth0"],
    ];
    await ip("link", "add", ...here, "type", "veth", "peer", ...there);
    for (const { host, device = "eth0", addresses = [] } of ends) {
      for (const address of addresses) await host.addAddress(address, device);
      await host.ip("link", "set", device, "up");
    }
  }

  /** Makes hosts on one switch: `eth0` of the first is 10.77.0.1/24, of the second 10.77.0.2/24, and so on. */
  async lan(count: number): Promise<Host[]> {
    const hub = await this.host();
    await hub.ip("link", "add", "br0", "type", "bridge");
    await hub.ip("link", "set", "br0", "up");
    const hosts: Host[] = [];
    for (let i = 1; i <= count; i++) {
      const host = await this.host();
      const device = `port${i}`;
      await this.cable({ host: hub, device }, { host, addresses: [`10.77.0.${i}/24`] });
      await hub.ip("link", "set", device, "master", "br0");
      host.port = { hub, device };
      hosts.push(host);
    }
    return hosts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { namespace } of this.#hosts) await ip("netns", "del", namespace).catch(() => {});
  }
}

/** One end of a cable. */
export interface End {
  host: Host;
  /** `eth0` unless it says otherwise. */
  device?: string;
  /** Each with the length of its prefix: `10.77.0.1/24`. */
  addresses?: string[];
}

/** One host of a {@linkcode Network}. */
export class Host {
  readonly namespace: string;
  /** The other end of its cable, of a host of {@linkcode Network.lan}. */
  port?: { hub: Host; device: string };

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** What starts a program on this host: before its command line, as `StartOptions.wrap` takes it. */
  get wrap(): [string, ...string[]] {
    return [IP ?? "", "netns", "exec", this.namespace];
  }

  /** Runs `ip` in this host. */
  async ip(...args: string[]): Promise<void> {
    await ip("-n", this.namespace, ...args);
  }

  /** Runs a command on this host to its end; resolves with what it wrote. */
  async run(...command: string[]): Promise<string> {
    return await run(...this.wrap, ...command);
  }

  /** Gives a device an address, usable at once: nobody has to be asked whether it is taken. */
  async addAddress(address: string, device = "eth0"): Promise<void> {
    const nodad = address.includes(":") ? ["nodad"] : [];
    await this.ip("addr", "add", address, "dev", device, ...nodad);
  }

  /** Pulls its cable out of the switch: `eth0` has no carrier. */
  async unplug(): Promise<void> {
    await this.#atSwitch("down");
  }

  /** Has the switch drop what it is sent and what it sends, with nothing that its `eth0` could notice. */
  async isolate(): Promise<void> {
    await this.#atSwitch("nomaster");
  }

  /** Ends {@linkcode unplug} or {@linkcode isolate}. */
  async plugIn(): Promise<void> {
    await this.#atSwitch("up", "master", "br0");
  }

  async #atSwitch(...state: string[]): Promise<void> {
    if (!this.port) throw new TypeError("this host is on no switch");
    const { hub, device } = this.port;
    await hub.ip("link", "set", device, ...state);
  }

  /**
   * Has what leaves by a device wait in a queue.
   *
   * @param line the rate as `tc` writes it, and the bytes that may wait.
   */
  async slowDown(
    { rate, queue, burst = 4000 }: { rate: string; queue: number; burst?: number },
    device = "eth0",
  ): Promise<void> {
    const shape = `root tbf rate ${rate} burst ${burst} limit ${queue}`.split(" ");
    await this.run("tc", "qdisc", "add", "dev", device, ...shape);
  }

  /** Drops what comes in on a TCP port from an address, without an answer, as firewalls do. */
  async drop(from: string, port: number): Promise<void> {
    await this.#firewall(from, port, "blackhole");
  }

  /** Turns away what comes in on a TCP port from an address: an ICMP message says that it is not allowed. */
  async reject(from: string, port: number): Promise<void> {
    await this.#firewall(from, port, "prohibit");
  }

  /** Passes on what comes for others, as a router does. */
  async routePackets(): Promise<void> {
    await this.run("/bin/sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
  }

  /**
   * Passes on what comes from the device `lan`, under the address of the device `wan`, and lets nothing else in, as a
   * router with a symmetric NAT does: each connection has another port outside.
   */
  async nat(): Promise<void> {
    await this.routePackets();
    await this.#nft(`
      table ip nat {
        chain prerouting { type nat hook prerouting priority -100; }
        chain postrouting {
          type nat hook postrouting priority 100;
          oifname wan masquerade fully-random
        }
      }
      table ip filter {
        chain forward {
          type filter hook forward priority 0; policy drop;
          ct state established,related accept
          iifname lan accept
          ct status dnat accept
        }
        chain input {
          type filter hook input priority 0; policy drop;
          ct state established,related accept
          iifname lan accept
        }
      }`);
  }

  /** Forwards a TCP port of the device `wan` to the same port of a host behind the NAT. */
  async forward(port: number, to: string): Promise<void> {
    await this.#nft(`add rule ip nat prerouting iifname wan tcp dport ${port} dnat to ${to}`);
  }

  async #nft(rules: string): Promise<void> {
    await this.run(NFT ?? "", rules);
  }

  async #firewall(from: string, port: number, action: string): Promise<void> {
    const family = from.includes(":") ? "-6" : "-4";
    // The rule for this host's own addresses stands at 0, before which there is no place: it moves.
    const own = ["lookup", "local"];
    const isOwnFirst = (await this.run(IP ?? "", family, "rule")).startsWith("0:");
    if (isOwnFirst) {
      await this.ip(family, "rule", "add", "pref", "100", ...own);
      await this.ip(family, "rule", "del", "pref", "0");
    }
    const what = ["iif", "eth0", "from", from, "ipproto", "tcp", "dport", `${port}`];
    await this.ip(family, "rule", "add", "pref", "10", ...what, action);
  }
}

/** Why no host can be a router with {@linkcode Host.nat} here. */
export async function whyNoNat(): Promise<string | undefined> {
  const reason = await whyNoNetwork();
  if (reason !== undefined || IP === undefined) return reason;
  if (NFT === undefined) return "needs nft of nftables";
  try {
    await using network = new Network();
    await (await network.host()).nat();
    return undefined;
  } catch {
    return "has no packet filter";
  }
}

/** Why there can be no {@linkcode Network} here. */
export async function whyNoNetwork(): Promise<string | undefined> {
  const needs = ["run", "read", "write"] as const;
  if (needs.some((name) => Deno.permissions.querySync({ name }).state !== "granted")) {
    return undefined;
  }
  if (IP === undefined) return "needs ip of iproute2";
  try {
    await using network = new Network();
    const [host] = await network.lan(1);
    await host?.drop("10.77.0.2", 1);
    return undefined;
  } catch {
    return "may not make network namespaces";
  }
}

/** Why no line of a {@linkcode Network} can be made slow here, or there can be none. */
export async function whyNoSlowLine(): Promise<string | undefined> {
  const reason = await whyNoNetwork();
  if (reason !== undefined) return reason;
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  try {
    await using network = new Network();
    const host = await network.host();
    await host.slowDown({ rate: "1mbit", queue: 9_000 }, "lo");
    return undefined;
  } catch {
    return "needs tc of iproute2, and sch_tbf of the kernel";
  }
}

/** The path of a tool of the system's administrator, who has them elsewhere than others. */
export function findTool(name: string): string | undefined {
  if (Deno.permissions.querySync({ name: "read" }).state !== "granted") return undefined;
  return ["/usr/sbin", "/sbin", "/usr/bin"].map((folder) => `${folder}/${name}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

async function ip(...args: string[]): Promise<void> {
  await run(IP ?? "", ...args);
}

async function run(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
