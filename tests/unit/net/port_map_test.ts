import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import type { Address } from "../../../lib/address.ts";
import { P2PError } from "../../../lib/errors.ts";
import { findRouter, likelyRouters } from "../../../lib/net/port_map/find_router.ts";
import { NatPmpRouter } from "../../../lib/net/port_map/nat_pmp.ts";
import { PcpRouter } from "../../../lib/net/port_map/pcp.ts";
import { PortMap } from "../../../lib/net/port_map/port_map.ts";
import { UpnpRouter } from "../../../lib/net/port_map/upnp.ts";
import { deadline } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { HERE, isRemoval, pcpAnswer, ScriptedRouter } from "../../helpers/scripted_router.ts";

/** A signal that never aborts. */
const { signal } = new AbortController();

permitted("PCP asks and removes as RFC 6887 has it", ["net"], async () => {
  await using router = await ScriptedRouter.start((asked, reply) => reply(pcpAnswer(asked)));
  const pcp = new PcpRouter(HERE, router.address);
  const { outside, lifetime } = await pcp.map({ port: 0x1234 }, signal);
  assertEquals([outside, lifetime], [{ host: "5.5.5.1", port: 0x1234 }, 600_000]);
  await pcp.map({ port: 0x1234, outside }, signal);
  await pcp.unmap(signal);
  const [first, again, removal] = router.asked.map(encodeHex);
  const nonce = first?.slice(48, 72) ?? "";
  const client = "00000000000000000000ffff7f000001";
  const anywhere = "00000000000000000000ffff00000000";
  // version, MAP, reserved, lifetime, own address, nonce, TCP, reserved, own port, port outside, address outside
  assertEquals(first, `0201000000000258${client}${nonce}0600000012341234${anywhere}`);
  assertEquals(
    again,
    `0201000000000258${client}${nonce}060000001234123400000000000000000000ffff05050501`,
  );
  assertEquals(removal, `0201000000000000${client}${nonce}0600000012340000${anywhere}`);
});

permitted("a router that is older than PCP is asked by NAT-PMP", ["net"], async () => {
  await using router = await ScriptedRouter.start((asked, reply) => {
    if (asked[0] !== 0) return reply(Uint8Array.of(0, 0x80 | (asked[1] ?? 0), 0, 1, 0, 0, 0, 9));
    if (asked[1] === 0) return reply(Uint8Array.of(0, 128, 0, 0, 0, 0, 0, 9, 5, 5, 5, 1));
    // Another port outside than was asked for, for two hours.
    reply(Uint8Array.of(0, 130, 0, 0, 0, 0, 0, 9, 0x12, 0x34, 0x56, 0x78, 0, 0, 0x1c, 0x20));
  });
  const found = await findRouter([HERE], { port: 0x1234 }, {
    signal,
    routersOf: () => [router.address],
  });
  assertEquals(found.router.protocol, "NAT-PMP");
  assertEquals(found.mapping, { outside: { host: "5.5.5.1", port: 0x5678 }, lifetime: 7_200_000 });
  await found.router.unmap(signal);
  const asked = router.asked.slice(1).map(encodeHex);
  assertEquals(asked, ["0000", "000200001234123400000258", "000200001234000000000000"]);
});

permitted("what is no answer of the router is passed over", ["net"], async () => {
  await using stranger = await ScriptedRouter.start(() => {});
  await using router = await ScriptedRouter.start((asked, reply, from) => {
    const right = pcpAnswer(asked);
    const wrong = pcpAnswer(asked, { host: "6.6.6.6" });
    stranger.tell(from, wrong);
    for (let length = 0; length < wrong.length; length++) reply(wrong.subarray(0, length));
    // Of another operation, with another nonce, protocol, and port of this machine.
    for (const at of [1, 24, 36, 41]) {
      const other = wrong.slice();
      other[at] = (other[at] ?? 0) ^ 1;
      reply(other);
    }
    reply(right);
  });
  const pcp = new PcpRouter(HERE, router.address);
  assertEquals((await pcp.map({ port: 5001 }, signal)).outside.host, "5.5.5.1");
});

permitted("a datagram that is lost is sent again", ["net"], async () => {
  let times = 0;
  await using router = await ScriptedRouter.start((asked, reply) => {
    if (++times > 1) reply(pcpAnswer(asked));
  });
  await new PcpRouter(HERE, router.address).map({ port: 5001 }, signal);
  assertEquals(router.asked.length, 2);
});

permitted("who is not asked answers in vain", ["net"], async () => {
  await using stranger = await ScriptedRouter.start(() => {});
  await using router = await ScriptedRouter.start((_, __, from) =>
    stranger.tell(from, Uint8Array.of(0, 128, 0, 0, 0, 0, 0, 9, 6, 6, 6, 6))
  );
  const natPmp = new NatPmpRouter(HERE, router.address);
  const error = await assertRejects(() => natPmp.map({ port: 5001 }, signal), P2PError);
  assertEquals([error.code, error.message], ["timeout", "no answer"]);
});

permitted("a signal ends what waits for a router", ["net"], async () => {
  const asked = Promise.withResolvers<void>();
  await using router = await ScriptedRouter.start(() => asked.resolve());
  const stop = new AbortController();
  const mapping = new PcpRouter(HERE, router.address).map({ port: 5001 }, stop.signal);
  await asked.promise;
  stop.abort(new P2PError("interrupted", "Interrupted"));
  assertEquals((await assertRejects(() => mapping, P2PError)).code, "interrupted");
});

/** A port map of a scripted router, and what it has said and changed. */
function mapOf(
  router: ScriptedRouter,
  { clock, samePort = false }: { clock: FakeClock; samePort?: boolean },
): { map: PortMap; said: string[]; changes: (Address | undefined)[] } {
  const said: string[] = [];
  const changes: (Address | undefined)[] = [];
  const map = new PortMap({
    // A private address, which a router is looked for at; the one that it is found at is loopback.
    place: () => ({ port: 5001, hosts: ["10.0.0.9", HERE] }),
    samePort,
    onChange: (outside) => changes.push(outside),
    notice: (message) => said.push(message),
    clock,
    find: (_, wish, { signal }) =>
      findRouter([HERE], wish, { signal, routersOf: () => [router.address] }),
  });
  return { map, said, changes };
}

permitted("a mapping is renewed at half of its lease, followed, and removed", ["net"], async () => {
  let host = "5.5.5.1";
  let renewed = Promise.withResolvers<void>();
  await using router = await ScriptedRouter.start((asked, reply) => {
    reply(pcpAnswer(asked, { host, ...isRemoval(asked) ? {} : { lifetime: 120 } }));
    renewed.resolve();
  });
  const clock = new FakeClock();
  const { map, said, changes } = mapOf(router, { clock });
  await deadline(map.tried, "the router");
  assertEquals(map.outside, { host, port: 5001 });
  host = "5.5.5.2";
  assertEquals(await clock.timer(() => true), 60_000);
  renewed = Promise.withResolvers();
  clock.advance(59_999);
  assertEquals(router.asked.length, 1);
  clock.advance(1);
  await deadline(renewed.promise, "the renewal");
  await clock.timer(() => true);
  assertEquals(changes, [{ host: "5.5.5.1", port: 5001 }, { host, port: 5001 }]);
  await map[Symbol.asyncDispose]();
  assertEquals(router.asked.map(isRemoval), [false, false, true]);
  assertEquals(map.outside, undefined);
  assertEquals(clock.pending, []);
  assertMatch(said[0] ?? "", /^The router at 127\.0\.0\.1 leads 5\.5\.5\.1:5001 to this machine/);
  assertEquals(said.length, 2);
});

permitted("a lease of a second is not renewed each second", ["net"], async () => {
  await using router = await ScriptedRouter.start((asked, reply) =>
    reply(pcpAnswer(asked, { lifetime: 1 }))
  );
  const clock = new FakeClock();
  const { map } = mapOf(router, { clock });
  await deadline(map.tried, "the router");
  assertEquals(await clock.timer(() => true), 30_000);
  await map[Symbol.asyncDispose]();
});

permitted("a router behind another one is not used, and that is said once", ["net"], async () => {
  for (const host of ["100.64.0.1", "192.168.1.5", "10.1.1.1", "172.31.0.1", "0.0.0.0"]) {
    let wasRemoved = Promise.withResolvers<void>();
    await using router = await ScriptedRouter.start((asked, reply) => {
      reply(pcpAnswer(asked, { host }));
      if (isRemoval(asked)) wasRemoved.resolve();
    });
    const clock = new FakeClock();
    const { map, said, changes } = mapOf(router, { clock });
    await deadline(map.tried, "the router");
    assertEquals(await clock.timer(() => true), 60_000);
    wasRemoved = Promise.withResolvers();
    clock.advance(60_000);
    await deadline(wasRemoved.promise, "the second removal");
    await clock.timer(() => true);
    assertEquals([map.outside, changes, said.length], [undefined, [], 1]);
    assertMatch(said[0] ?? "", /is itself behind another one: .*ask the provider for a public/);
    assertEquals(router.asked.map(isRemoval), [false, true, false, true]);
    await map[Symbol.asyncDispose]();
  }
});

permitted("another port outside is used by a peer, and by no invite", ["net"], async () => {
  for (const samePort of [false, true]) {
    await using router = await ScriptedRouter.start((asked, reply) =>
      reply(pcpAnswer(asked, { port: 6001 }))
    );
    const { map, said } = mapOf(router, { clock: new FakeClock(), samePort });
    await deadline(map.tried, "the router");
    assertEquals(map.outside, samePort ? undefined : { host: "5.5.5.1", port: 6001 });
    const says = samePort
      ? /^Cannot map a port: port 5001 of the router .* choose another with --port\. Going on/
      : /leads 5\.5\.5\.1:6001 to this machine \(PCP\), as port 5001 is taken there$/;
    assertMatch(said[0] ?? "", says);
    await map[Symbol.asyncDispose]();
    assertEquals(router.asked.map(isRemoval), [false, true]);
  }
});

permitted("a refusal is said with what the router gives as its reason", ["net"], async () => {
  await using router = await ScriptedRouter.start((asked, reply) =>
    reply(pcpAnswer(asked, { result: 2 }))
  );
  const { map, said } = mapOf(router, { clock: new FakeClock() });
  await deadline(map.tried, "the router");
  await map[Symbol.asyncDispose]();
  assertEquals(said, [
    "Cannot map a port: the router at 127.0.0.1 refuses by PCP: it is not allowed there. " +
    "Going on without",
  ]);
});

permitted("a router that is silent in the end does not hold up a program", ["net"], async () => {
  await using router = await ScriptedRouter.start((asked, reply) => {
    if (!isRemoval(asked)) reply(pcpAnswer(asked));
  });
  const { map } = mapOf(router, { clock: new FakeClock() });
  await deadline(map.tried, "the router");
  const before = performance.now();
  await map[Symbol.asyncDispose]();
  // A second, and what a busy machine makes of it.
  assert(performance.now() - before < 10_000);
  assert(router.asked.filter(isRemoval).length > 0);
});

/** A UPnP router of a test, and the actions that were called with their bodies. */
function serveUpnp(
  answer: (action: string, body: string) => Response,
  description = describing("/control"),
): { server: Deno.HttpServer; location: URL; called: { action: string; body: string }[] } {
  const called: { action: string; body: string }[] = [];
  const server = Deno.serve({ hostname: HERE, port: 0, onListen() {} }, async (request) => {
    if (request.method === "GET") return new Response(description);
    const body = await request.text();
    const action = request.headers.get("soapaction")?.replaceAll('"', "").split("#")[1] ?? "";
    called.push({ action, body });
    return action === "GetExternalIPAddress"
      ? new Response("<a><NewExternalIPAddress>5.5.5.1</NewExternalIPAddress></a>")
      : answer(action, body);
  });
  const { port } = server.addr as Deno.NetAddr;
  return { server, location: new URL(`http://${HERE}:${port}/d.xml`), called };
}

function describing(control: string): string {
  return "<root><device><serviceList><service><serviceType>" +
    "urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/no</controlURL>" +
    "</service><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>" +
    `<controlURL> ${control} </controlURL></service></serviceList></device></root>`;
}

function fault(number: string): Response {
  return new Response(`<s:Fault><errorCode>${number}</errorCode></s:Fault>`, { status: 500 });
}

permitted(
  "UPnP: another port where one is taken, and for good where it must be",
  ["net"],
  async () => {
    const { server, location, called } = serveUpnp((action, body) => {
      if (action !== "AddPortMapping") return new Response("<ok/>");
      if (body.includes("<NewExternalPort>5001<")) return fault("718");
      return body.includes("<NewLeaseDuration>0<") ? new Response("<ok/>") : fault("725");
    });
    await using _server = server;
    const router = await UpnpRouter.at(location, HERE, signal);
    const { outside, lifetime } = await router.map({ port: 5001 }, signal);
    assertEquals([outside.host, lifetime], ["5.5.5.1", Infinity]);
    assert(outside.port >= 49_152, `${outside.port}`);
    await router.unmap(signal);
    const last = called.at(-1);
    assertEquals(last?.action, "DeletePortMapping");
    assertMatch(last?.body ?? "", new RegExp(`<NewExternalPort>${outside.port}</NewExternalPort>`));
    const add = called.find(({ action }) => action === "AddPortMapping")?.body ?? "";
    assertMatch(add, /<NewInternalPort>5001<.*<NewInternalClient>127\.0\.0\.1</);
  },
);

permitted("UPnP: what a router says no with is a number, or nothing", ["net"], async () => {
  for (
    const [number, says] of [
      ["606", "it is not allowed there"],
      ["501", "it answers with error 501"],
      ["\u001b[2Jrm -rf", "it answers with error 500"],
    ] as const
  ) {
    const { server, location } = serveUpnp(() => fault(number));
    await using _server = server;
    const router = await UpnpRouter.at(location, HERE, signal);
    const error = await assertRejects(() => router.map({ port: 5001 }, signal), P2PError);
    assertEquals([error.code, error.message], ["refused", says]);
  }
});

permitted("UPnP: no device sends a program elsewhere, or fills its memory", ["net"], async () => {
  for (
    const [description, code] of [
      [describing("http://127.0.0.2:9/control"), "version"],
      [describing("ftp://127.0.0.1/control"), "version"],
      ["<service>".repeat(20_000), "version"],
      ["<serviceType ".repeat(15_000), "version"],
      ["", "version"],
      ["x".repeat(2 ** 20), "timeout"],
    ] as const
  ) {
    const { server, location } = serveUpnp(() => new Response("<ok/>"), description);
    await using _server = server;
    const error = await assertRejects(() => UpnpRouter.at(location, HERE, signal), P2PError);
    assertEquals(error.code, code, description.slice(0, 50));
  }
});

Deno.test("routers are looked for at the ends of a network, and never at this machine", () => {
  const hostsOf = (host: string, netmask: string, ...own: string[]) =>
    likelyRouters(host, [
      { address: host, netmask },
      ...own.map((address) => ({ address, netmask })),
    ]).map(({ host, port }) => port === 5351 ? host : `${host}:${port}`);
  const anycast = "192.0.0.9";
  assertEquals(
    hostsOf("192.168.1.2", "255.255.255.0"),
    ["192.168.1.1", "192.168.1.254", anycast],
  );
  assertEquals(hostsOf("10.2.0.2", "255.255.255.255"), ["10.2.0.1", "10.2.0.254", anycast]);
  assertEquals(
    hostsOf("172.16.5.4", "255.240.0.0"),
    ["172.16.0.1", "172.31.255.254", "172.16.5.1", "172.16.5.254", anycast],
  );
  assertEquals(
    hostsOf("192.168.1.1", "255.255.255.0", "192.168.1.254"),
    [anycast],
  );
});
