/** Peers, shares and trackers behind a router, which they ask to lead a port to them: `--map-port`. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { HomeRouter, whyNoRouter } from "../helpers/home_router.ts";
import {
  e2e,
  last,
  type Line,
  type PeerProcess,
  type Program,
  sha256Of,
  type StartOptions,
  type World,
} from "./helpers.ts";

const ignore = await whyNoRouter();

/** A router, a tracker outside of it, and what runs on either side. */
class Home {
  readonly router: HomeRouter;
  readonly #world: World;
  #invite = "";

  private constructor(world: World, router: HomeRouter) {
    this.#world = world;
    this.router = router;
  }

  static async start(world: World, address?: string): Promise<Home> {
    const home = new Home(world, world.use(await HomeRouter.start(world.folder, address)));
    const tracker = await world.tracker(["--host", "0.0.0.0"], home.on("outside", "tracker"));
    home.#invite = tracker.invite;
    return home;
  }

  /** What starts a program on a side, with a state of its own. */
  on(side: "inside" | "outside", state: string): StartOptions {
    return this.#world.on(this.router[side], `state-${state}`);
  }

  /** Starts a peer inside with `--map-port`. */
  async peer(): Promise<PeerProcess> {
    const args = ["--name", "inner", "--map-port", "--join", this.#invite];
    return await this.#world.peer("in", args, this.on("inside", "inner"));
  }

  /** Sends the peer inside a new file from outside; resolves with how it was reached. */
  async send({ received }: PeerProcess, name: string): Promise<{ via: string; address: string }> {
    const { path, sha256 } = await this.#world.file(name, 300_000);
    const args = ["send", path, "--to", "inner", "--join", this.#invite, "--json"];
    const { code, lines, stderr } = await this.#world.run("peer", args, this.on("outside", "s"));
    assertEquals(code, 0, stderr);
    assertEquals(await sha256Of(join(received, name)), sha256);
    return last(lines).recipients[0];
  }
}

/** What was said of the router. */
function said(program: Program): string[] {
  return program.lines.filter(isOfRouter).map(({ message }) => message);
}

function isOfRouter({ event, message }: Line): boolean {
  return event === "notice" && /router|map a port/.test(message);
}

for (
  const { protocol, offer } of [
    { protocol: "PCP", offer: { pcp: true } },
    { protocol: "UPnP", offer: { upnp: true } },
    { protocol: "UPnP", offer: { upnp: true, isOld: true } },
  ]
) {
  e2e(
    `a peer is dialled at the port that its router leads to it by ${protocol}${
      offer.isOld ? ", version 1," : ""
    } until it stops`,
    async (world) => {
      const home = await Home.start(world);
      await home.router.serve(offer);
      const peer = await home.peer();
      const { program, port } = peer;
      const { host, reachable } = await program.until((line) =>
        line.event === "registered" && line.reachable
      );
      assertEquals([host, reachable], ["5.5.5.1", true]);
      assertEquals(said(program), [
        `The router at 192.168.7.1 leads 5.5.5.1:${port} to this machine (${protocol})`,
      ]);
      assert(await home.router.leads(port));
      const { via, address } = await home.send(peer, "f.bin");
      assertEquals([via, address], ["direct", `5.5.5.1:${port}`]);
      assertEquals((await program.stop()).code, 0);
      assert(!await home.router.leads(port), "the mapping is still there");
    },
    { ignore },
  );
}

e2e("a peer is listed anew when its router comes back with another address", async (world) => {
  const home = await Home.start(world);
  await home.router.serve({ pcp: true });
  const peer = await home.peer();
  const { program, port } = peer;
  await program.until((line) => line.event === "registered" && line.reachable);
  await home.router.restart({ pcp: true }, "5.5.5.2");
  await program.until((line) =>
    line.event === "registered" && line.reachable && line.host === "5.5.5.2"
  );
  assert(await home.router.leads(port));
  const { via, address } = await home.send(peer, "f.bin");
  assertEquals([via, address], ["direct", `5.5.5.2:${port}`]);
}, { ignore });

for (
  const { what, address, offer, says } of [
    {
      what: "does not answer",
      offer: undefined,
      says:
        /^Cannot map a port: no router answers; switch PCP, NAT-PMP or UPnP on in the router, or have it lead port \d+ to this machine\. Going on without$/,
    },
    {
      what: "refuses",
      offer: { upnp: true, refuses: true },
      says: /^Cannot map a port: the router at 192\.168\.7\.1 refuses by UPnP: .*Going on without$/,
    },
    {
      what: "is behind another one",
      address: "100.64.0.2",
      offer: { pcp: true },
      says:
        /^Cannot map a port: the router at 192\.168\.7\.1 refuses by PCP: .* no public address itself\. Going on without$/,
    },
  ]
) {
  e2e(`a peer whose router ${what} says so and goes on without`, async (world) => {
    const home = await Home.start(world, address);
    if (offer) await home.router.serve(offer);
    const peer = await home.peer();
    const { message } = await peer.program.until(isOfRouter);
    assertMatch(message, says);
    assertEquals((await home.send(peer, "f.bin")).via, "dialled-back");
    assertEquals(said(peer.program), [message]);
    assertEquals((await peer.program.stop()).code, 0);
  }, { ignore });
}

e2e("the invite of a share names the address of its router", async (world) => {
  const home = await Home.start(world);
  await home.router.serve({ pcp: true });
  const { path, sha256 } = await world.file("f.bin", 300_000);
  const args = ["share", path, "--map-port", "--json"];
  const program = await world.start("peer", args, home.on("inside", "sharer"));
  const { invite, port } = await program.until("sharing");
  assertStringIncludes(invite, `p2p://192.168.7.2,5.5.5.1:${port}/#`);
  const received = world.path("received");
  const receive = ["receive", invite, "--received", received, "--json"];
  const { code, stderr } = await world.run("peer", receive, home.on("outside", "receiver"));
  assertEquals(code, 0, stderr);
  assertEquals(await sha256Of(join(received, "f.bin")), sha256);
  assertEquals((await program.outcome).code, 0);
  assert(!await home.router.leads(port), "the mapping is still there");
}, { ignore });

e2e("the invite of a tracker names the address of its router", async (world) => {
  const router = world.use(await HomeRouter.start(world.folder));
  await router.serve({ pcp: true });
  const inside = world.on(router.inside, "tracker");
  const { program, port } = await world.tracker(["--host", "0.0.0.0", "--map-port"], inside);
  await program.until(({ message }) => `${message}`.startsWith("Invites name 5.5.5.1 too"));
  const { lines } = await world.run("tracker", ["invite", "--json"], inside);
  const { invite } = last(lines);
  assertStringIncludes(invite, `p2p://192.168.7.2,5.5.5.1:${port}/#`);
  const outside = world.on(router.outside, "peer");
  const { code, stderr } = await world.run("peer", ["peers", "--join", invite, "--json"], outside);
  assertEquals(code, 0, stderr);
  assertEquals((await program.stop()).code, 0);
  assert(!await router.leads(port), "the mapping is still there");
}, { ignore });

e2e("on loopback there is nothing to map, which is said", async (world) => {
  const { invite } = await world.tracker();
  const { program } = await world.peer("in", ["--map-port", "--join", invite]);
  const { message } = await program.until(isOfRouter);
  assertMatch(message, /^Cannot map a port: no address that is listened on is a private one/);
});

e2e("--map-port does not go with --insecure, nor in an invite with --advertise", async (world) => {
  const { path } = await world.file("f.bin", 1);
  const advertise = ["--advertise", "5.5.5.5"];
  for (
    const [program, command, other] of [
      ["tracker", ["run"], advertise],
      ["tracker", ["run"], ["--insecure"]],
      ["peer", ["share", path], advertise],
      ["peer", ["run"], ["--insecure"]],
    ] as const
  ) {
    const args = [...command, "--port", "0", "--map-port", ...other];
    const { code, stdout, stderr } = await world.run(program, args);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, `Cannot use --map-port with ${other[0]}: `);
  }
});
