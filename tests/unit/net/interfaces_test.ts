import { assertEquals } from "@std/assert";
import {
  isOwnAddress,
  linkLocalAddresses,
  machineAddresses,
  withScope,
} from "../../../lib/net/interfaces.ts";

const v4 = (name: string, address: string) => ({ name, address, family: "IPv4" as const });
const v6 = (name: string, address: string) => ({ name, address, family: "IPv6" as const });

const INTERFACES = [
  v4("lo", "127.0.0.1"),
  v6("lo", "::1"),
  v4("docker0", "172.17.0.1"),
  v6("eth0", "fe80::1"),
  v6("eth0", "2001:db8::2"),
  v6("eth1", "fe80::9"),
  v4("eth0", "192.168.1.7"),
  v4("eth1", "169.254.3.4"),
];

Deno.test("addresses for others: IPv4 first, virtual interfaces last, none that only this machine has", () => {
  assertEquals(machineAddresses(INTERFACES), ["192.168.1.7", "2001:db8::2", "172.17.0.1"]);
  assertEquals(machineAddresses(INTERFACES.slice(0, 2)), []);
});

Deno.test("addresses of one link alone stand by themselves", () => {
  assertEquals(linkLocalAddresses(INTERFACES), ["169.254.3.4", "fe80::1", "fe80::9"]);
});

Deno.test("a link-local address of IPv6 is dialled through the interface that leads to it", () => {
  const read = () => INTERFACES;
  assertEquals(withScope("fe80::77", "fe80::9", read), "fe80::77%eth1");
  assertEquals(withScope("fe80::77", "fe80::1", read), "fe80::77%eth0");
  // A tracker on this machine says nothing of the link.
  for (const via of ["127.0.0.1", "::1", "10.0.0.1", ""]) {
    assertEquals(withScope("fe80::77", via, read), "fe80::77%eth0");
  }
  for (const host of ["fe80::77%eth5", "10.0.0.1", "169.254.1.1", "2001:db8::77", "localhost"]) {
    assertEquals(withScope(host, "fe80::9", read), host);
  }
  assertEquals(withScope("fe80::77", "fe80::9", () => []), "fe80::77");
});

Deno.test("an address that is gone is known to be gone", () => {
  assertEquals(isOwnAddress("192.168.1.7", INTERFACES), true);
  assertEquals(isOwnAddress("192.168.1.8", INTERFACES), false);
});

Deno.test("a process out of descriptors knows its addresses of before", () => {
  const read = Deno.networkInterfaces;
  const known = machineAddresses();
  Deno.networkInterfaces = () => {
    throw Object.assign(new Error("Too many open files (os error 24)"), { code: "EMFILE" });
  };
  try {
    assertEquals(machineAddresses(), known);
    assertEquals(isOwnAddress("192.0.2.1"), false);
    assertEquals(withScope("fe80::1", "192.0.2.1").startsWith("fe80::1"), true);
  } finally {
    Deno.networkInterfaces = read;
  }
});
