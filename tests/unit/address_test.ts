import { assert, assertEquals } from "@std/assert";
import { formatAddress, isLoopback } from "../../lib/address.ts";

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
