import { assert, assertEquals } from "@std/assert";
import {
  formatAddress,
  isLoopback,
  isWildcard,
  mayBeDialledFor,
  needsScope,
  networkOf,
  ownerOf,
  reachOf,
} from "../../lib/address.ts";

Deno.test("addresses are written with brackets where they need them", () => {
  assertEquals(formatAddress({ host: "10.0.0.1", port: 5000 }), "10.0.0.1:5000");
  assertEquals(formatAddress({ host: "fe80::1", port: 5000 }), "[fe80::1]:5000");
});

Deno.test("loopback is recognised in every notation", () => {
  const loopback = [
    "localhost",
    "LocalHost",
    "localhost.",
    "127.0.0.1",
    "127.8.9.1",
    "127.255.255.255",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::0001",
    "::ffff:127.0.0.1",
    "::FFFF:127.8.9.1",
    "::ffff:7f00:1",
    "::ffff:7FFF:ffff",
    "0:0:0:0:0:ffff:7f00:1",
  ];
  for (const host of loopback) assert(isLoopback(host), host);
  const others = [
    "",
    "0.0.0.0",
    "10.0.0.1",
    "128.0.0.1",
    "127.",
    "127.0.0",
    "127.0.0.256",
    "127.0.0.1.1",
    "127.example.com",
    "127.0.0.1.example.com",
    "localhost..",
    "localhost.example.com",
    "notlocalhost",
    "example.org",
    "::",
    "::2",
    "1::1",
    "::1]:80/[",
    "::ffff:10.0.0.1",
    "::ffff:127.example.com",
    "::ffff:7e00:1",
    "::ffff:807f:1",
    "::127.0.0.1",
    "fe80::1",
    "::ffff:7f00:1:1",
  ];
  for (const host of others) assert(!isLoopback(host), host);
});

Deno.test("neighbours share a network, however their addresses are written", () => {
  for (
    const [host, network] of [
      ["10.1.2.3", "10.1.2.0/24"],
      ["::ffff:10.1.2.3", "10.1.2.0/24"],
      ["::ffff:a01:203", "10.1.2.0/24"],
      ["2001:db8::1", "2001:db8:0:0::/64"],
      ["2001:DB8:0:0:1:2:3:4", "2001:db8:0:0::/64"],
      ["2001:db8:0:1::1", "2001:db8:0:1::/64"],
      ["fe80::1%eth0", "fe80:0:0:0::/64"],
      ["example.org", "example.org"],
    ] as const
  ) assertEquals(networkOf(host), network);
  assertEquals(ownerOf("10.1.2.3"), "10.1.2.3");
  assertEquals(ownerOf("2001:db8::1"), ownerOf("2001:db8::ffff"));
});

Deno.test("what an address reaches is known of literal ones alone", () => {
  const expected = {
    loopback: ["127.0.0.1", "127.8.9.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"],
    "link-local": ["169.254.169.254", "fe80::1", "febf::1", "fe80::1%eth0", "::ffff:169.254.0.1"],
    unusable: ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "255.255.255.255", "ff02::1"]
      .concat("::7f00:1", "64:ff9b::7f00:1", "::ffff:0.0.0.0"),
    other: ["10.0.0.1", "192.168.1.7", "8.8.8.8", "2001:db8::1", "fd00::1", "::ffff:10.0.0.1"],
  };
  for (const [reach, hosts] of Object.entries(expected)) {
    for (const host of hosts) assertEquals([host, reachOf(host)], [host, reach]);
  }
  const names = ["", "localhost", "example.org", "127.1", "0x7f.1", "2130706433", "0177.0.0.1"]
    .concat("127.0.0.1.", "256.1.1.1", "1.2.3", "::1::2", "[::1]");
  for (const host of names) assertEquals([host, reachOf(host)], [host, undefined]);
});

Deno.test("this machine and this link are dialled for others only through one who is there too", () => {
  assert(mayBeDialledFor("10.0.0.1", "192.168.1.1"));
  assert(mayBeDialledFor("10.0.0.1", "127.0.0.1"));
  assert(mayBeDialledFor("127.0.0.2", "127.0.0.1"));
  assert(mayBeDialledFor("fe80::1", "fe80::2%eth0"));
  assert(!mayBeDialledFor("127.0.0.1", "10.0.0.1"));
  assert(!mayBeDialledFor("169.254.169.254", "10.0.0.1"));
  assert(!mayBeDialledFor("169.254.169.254", "127.0.0.1"));
  assert(!mayBeDialledFor("0.0.0.0", "0.0.0.0"));
  assert(!mayBeDialledFor("localhost", "127.0.0.1"));
  assert(!mayBeDialledFor("example.org", "10.0.0.1"));
});

Deno.test("only a link-local IPv6 address without its interface needs one, and no name that looks like it", () => {
  for (const host of ["fe80::1", "FEBF::1", "fe90:0:0:0:1:2:3:4"]) {
    assertEquals([host, needsScope(host)], [host, true]);
  }
  for (
    const host of ["fe80::1%eth0", "169.254.1.1", "2001:db8::1", "fec0::1", "feast.local", "febe"]
  ) {
    assertEquals([host, needsScope(host)], [host, false]);
  }
});

Deno.test("a wildcard is the unspecified address of either family", () => {
  assertEquals(["0.0.0.0", "::", "127.0.0.1", "localhost"].map(isWildcard), [
    true,
    true,
    false,
    false,
  ]);
});
