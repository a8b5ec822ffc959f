import { assertEquals } from "@std/assert";
import { entryFor, tellable, viewOf } from "../../../lib/tracker/views.ts";
import { entryOf } from "../../helpers/entries.ts";
import { sessionPair } from "../../helpers/pipes.ts";

/** The tracker's end of a session between two addresses. */
function sessionOf(local: string, remote: string) {
  const [near, far] = sessionPair({ hosts: [local, remote] });
  near.connection.close();
  far.connection.close();
  return near;
}

const at = (host: string, port = 5001) => ({ host, port });

Deno.test("who comes from loopback is here, in either family and notation", () => {
  for (const host of ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]) {
    assertEquals(viewOf(sessionOf("127.0.0.1", host)), "here");
  }
  for (const host of ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "2001:db8::1"]) {
    assertEquals(viewOf(sessionOf("10.0.0.9", host)), "elsewhere");
  }
});

Deno.test("an entry without loopback is the same to all", () => {
  const entry = entryOf(1, { addresses: [at("fd00::1")] });
  assertEquals(entryFor("here", entry, () => "10.0.0.9"), entry);
  assertEquals(entryFor("elsewhere", entry, () => "10.0.0.9"), entry);
});

Deno.test("of the addresses that a peer claims those are told that others may dial, each once", () => {
  const claimed = [
    "10.0.0.1",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "localhost",
    "example.org",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "255.255.255.255",
    "169.254.169.254",
    "fe80::1%eth0",
    "127.1",
    "0x7f.1",
    "::ffff:10.0.0.1",
    "2001:db8::1",
    "10.0.0.7",
  ].map((host) => at(host));
  const session = sessionOf("10.0.0.9", "10.0.0.1");
  const told = tellable(claimed, session, [at("10.0.0.7")]);
  assertEquals(told, [at("10.0.0.1"), at("2001:db8::1")]);
  // The same host at another port is another address.
  assertEquals(tellable([at("10.0.0.7", 5002)], session, [at("10.0.0.7")]), [at("10.0.0.7", 5002)]);
  assertEquals(tellable(undefined, session), []);
});

Deno.test("link-local addresses are told where the tracker is on such a link, without their scope", () => {
  const claimed = [at("fe80::1%eth0"), at("169.254.3.4"), at("127.0.0.1")];
  assertEquals(tellable(claimed, sessionOf("fe80::9", "fe80::1")), [
    at("fe80::1"),
    at("169.254.3.4"),
  ]);
  assertEquals(tellable(claimed, sessionOf("127.0.0.1", "127.0.0.1")), []);
});
