/**
 * A router as people have at home: NAT by nftables, and miniupnpd, which many of them run, for PCP, NAT-PMP and UPnP.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { join } from "@std/path";
import { findTool, type Host, Network, whyNoNetwork } from "./netns.ts";

const NFT = findTool("nft");
const MINIUPNPD = findTool("miniupnpd");

/** Longest wait for miniupnpd to listen, in milliseconds. */
const PATIENCE = 60_000;

/** What leads where: all out, and in what miniupnpd has put into its chains. */
const RULES = `
flush ruleset
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "lan" accept
    ct state established,related accept
    jump miniupnpd
  }
  chain miniupnpd { }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    jump prerouting_miniupnpd
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    jump postrouting_miniupnpd
    oifname "wan" masquerade
  }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`;

/** What a router offers. */
export interface Offer {
  /** By PCP and NAT-PMP. */
  pcp?: boolean;
  upnp?: boolean;
  /** Whether it says that it is of the first version of UPnP. */
  isOld?: boolean;
  /** Whether it refuses every mapping. */
  refuses?: boolean;
}

/** A router between a host of its own network, 192.168.7.2, and the network 5.5.5.0/24, where 5.5.5.10 is. */
export class HomeRouter implements AsyncDisposable {
  readonly inside: Host;
  readonly outside: Host;
  readonly #network: Network;
  readonly #router: Host;
  /** Path that the names of its files begin with. */
  readonly #files: string;
  #address: string;
  #daemon: Deno.ChildProcess | undefined;
  #reading: Promise<void> | undefined;

  private constructor(
    network: Network,
    hosts: { inside: Host; router: Host; outside: Host },
    { address, files }: { address: string; files: string },
  ) {
    this.#network = network;
    this.inside = hosts.inside;
    this.outside = hosts.outside;
    this.#router = hosts.router;
    this.#address = address;
    this.#files = files;
  }

  /**
   * @param folder for its files.
   * @param address of its outer side.
   */
  static async start(folder: string, address = "5.5.5.1"): Promise<HomeRouter> {
    const network = new Network();
    const hosts = {
      inside: await network.host(),
      router: await network.host(),
      outside: await network.host(),
    };
    const { inside, router, outside } = hosts;
    await network.cable(
      { host: inside, addresses: ["192.168.7.2/24"] },
      { host: router, device: "lan", addresses: ["192.168.7.1/24"] },
    );
    await network.cable(
      { host: outside, addresses: ["5.5.5.10/24"] },
      { host: router, device: "wan", addresses: [`${address}/24`] },
    );
    await inside.ip("route", "add", "default", "via", "192.168.7.1");
    // Whatever address the router has there, and a network beyond its own.
    await outside.ip("route", "add", "default", "dev", "eth0");
    await router.ip("route", "replace", "5.5.5.0/24", "dev", "wan");
    await router.routePackets();
    const files = join(folder, `router-${crypto.randomUUID()}`);
    const home = new HomeRouter(network, hosts, { address, files });
    await home.#forget();
    return home;
  }

  /** Begins to map ports. */
  async serve({ pcp = false, upnp = false, isOld = false, refuses = false }: Offer): Promise<void> {
    const yes = (is: boolean) => is ? "yes" : "no";
    const config = [
      "ext_ifname=wan",
      "listening_ip=lan",
      `enable_natpmp=${yes(pcp)}`,
      `enable_upnp=${yes(upnp)}`,
      `force_igd_desc_v1=${yes(isOld)}`,
      "secure_mode=yes",
      `uuid=${crypto.randomUUID()}`,
      ...refuses ? [] : ["allow 1024-65535 192.168.7.0/24 1024-65535"],
      "deny 0-65535 0.0.0.0/0 0-65535",
    ];
    await Deno.writeTextFile(`${this.#files}.conf`, config.join("\n") + "\n");
    const args = [
      "netns",
      "exec",
      this.#router.namespace,
      MINIUPNPD ?? "",
      "-d",
      "-f",
      `${this.#files}.conf`,
      "-P",
      `${this.#files}.pid`,
    ];
    const daemon = new Deno.Command(findTool("ip") ?? "", {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#daemon = daemon;
    const listens = Promise.withResolvers<void>();
    const late = setTimeout(() => listens.reject(new Error(`late: ${log}`)), PATIENCE);
    let log = "";
    const last = pcp ? "Listening for NAT-PMP/PCP" : "HTTP listening";
    this.#reading = (async () => {
      const lines = daemon.stderr.pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream());
      for await (const line of lines) {
        log += `${line}\n`;
        if (line.includes(last)) listens.resolve();
      }
      listens.reject(new Error(`miniupnpd ended: ${log}`));
    })();
    await listens.promise.finally(() => clearTimeout(late));
  }

  /** Is without power for a moment: its mappings are gone, and it has another address outside. */
  async restart(offer: Offer, address: string): Promise<void> {
    await this.#end();
    await this.#router.ip("addr", "flush", "dev", "wan");
    await this.#router.addAddress(`${address}/24`, "wan");
    this.#address = address;
    await this.#forget();
    await this.serve(offer);
  }

  /** Whether a port outside leads to somewhere inside. */
  async leads(port: number): Promise<boolean> {
    const rules = await this.#router.run(
      NFT ?? "",
      "list",
      "chain",
      "inet",
      "filter",
      "prerouting_miniupnpd",
    );
    return new RegExp(`\\bdport ${port} dnat\\b`).test(rules);
  }

  /** Its address outside. */
  get address(): string {
    return this.#address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    await this.#network[Symbol.asyncDispose]();
  }

  async #end(): Promise<void> {
    if (!this.#daemon) return;
    // One that says goodbye to a network that is gone does not come to an end.
    this.#daemon.kill("SIGKILL");
    await Promise.all([this.#daemon.status, this.#reading?.catch(() => {})]);
    this.#daemon = undefined;
    await Deno.remove(`${this.#files}.pid`).catch(() => {});
  }

  async #forget(): Promise<void> {
    await Deno.writeTextFile(`${this.#files}.nft`, RULES);
    await this.#router.run(NFT ?? "", "-f", `${this.#files}.nft`);
  }
}

/** Why there can be no {@linkcode HomeRouter} here. */
export async function whyNoRouter(): Promise<string | undefined> {
  const reason = await whyNoNetwork();
  if (reason !== undefined) return reason;
  if (Deno.permissions.querySync({ name: "read" }).state !== "granted") return undefined;
  if (NFT === undefined || MINIUPNPD === undefined) return "needs nft of nftables and miniupnpd";
  try {
    await using network = new Network();
    const host = await network.host();
    await host.run(NFT, "add", "table", "inet", "filter");
    return undefined;
  } catch {
    return "the kernel has no nftables";
  }
}
