import { assertEquals } from "@std/assert";
import { addressesOf, isOnlyHere, nearest, sharePlace } from "../../../lib/app/addresses.ts";

const OWN = ["192.168.1.7", "fd00::2", "10.0.0.5"];
const both = () => "::";
const onlyIPv4 = () => "0.0.0.0";

Deno.test("The place of a share", () => {
  assertEquals(sharePlace({ host: "auto" }, OWN, both), {
    host: "::",
    advertise: { host: "192.168.1.7", others: ["fd00::2", "10.0.0.5"] },
    others: [],
  });
  // A line to paste has an end.
  const many = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
  assertEquals(sharePlace({ host: "auto" }, many, both), {
    host: "::",
    advertise: { host: "10.0.0.1", others: ["10.0.0.2", "10.0.0.3", "10.0.0.4"] },
    others: ["10.0.0.5"],
  });
  assertEquals(sharePlace({ host: "auto" }, OWN, onlyIPv4), {
    host: "0.0.0.0",
    // Nobody would reach it there by IPv6.
    advertise: { host: "192.168.1.7", others: ["10.0.0.5"] },
    others: [],
  });
  const noIPv4 = { host: "::", advertise: { host: "fd00::2" }, others: [] };
  assertEquals(sharePlace({ host: "auto" }, ["fd00::2"], both), noIPv4);
  const noNetwork = { host: "::", advertise: { host: "127.0.0.1" }, others: [] };
  assertEquals(sharePlace({ host: "auto" }, [], both), noNetwork);
  const local = { host: "127.0.0.1", advertise: undefined, others: [] };
  assertEquals(sharePlace({ host: "127.0.0.1" }, OWN, both), local);
  for (const port of [null, 6000]) {
    const advertise = { host: "example.org", port };
    assertEquals(sharePlace({ host: "auto", advertise }, OWN, both), {
      host: "::",
      advertise: { host: "example.org", ...(port === null ? {} : { port }) },
      others: [],
    });
  }
});

Deno.test("What listens on a wildcard is named by the addresses of its family", () => {
  assertEquals(addressesOf("::", OWN), OWN);
  assertEquals(addressesOf("0.0.0.0", OWN), ["192.168.1.7", "10.0.0.5"]);
  assertEquals(addressesOf("10.0.0.5", OWN), ["10.0.0.5"]);
  assertEquals(addressesOf("127.0.0.1", OWN), []);
});

Deno.test("An invite is of no use elsewhere when it names loopback or no address at all", () => {
  for (const host of ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "::ffff:127.0.0.1"]) {
    assertEquals(isOnlyHere(host), true, host);
  }
  for (const host of ["192.168.1.7", "fd00::2", "desk.example.org"]) {
    assertEquals(isOnlyHere(host), false, host);
  }
});

Deno.test("This machine reaches what listens on all of it over loopback", () => {
  assertEquals(nearest("0.0.0.0"), "127.0.0.1");
  assertEquals(nearest("10.0.0.5"), "10.0.0.5");
});
