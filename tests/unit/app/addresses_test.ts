import { assertEquals } from "@std/assert";
import { sharePlace } from "../../../lib/app/addresses.ts";

Deno.test("The place of a share", () => {
  const own = ["192.168.1.7", "fd00::2", "10.0.0.5"];
  assertEquals(sharePlace({ host: "auto" }, own), {
    host: "0.0.0.0",
    advertise: { host: "192.168.1.7" },
    // Nobody would reach it there by IPv6.
    others: ["10.0.0.5"],
  });
  assertEquals(sharePlace({ host: "::" }, own), {
    host: "::",
    advertise: { host: "192.168.1.7" },
    others: ["fd00::2", "10.0.0.5"],
  });
  const noIPv4 = { host: "::", advertise: { host: "fd00::2" }, others: [] };
  assertEquals(sharePlace({ host: "auto" }, ["fd00::2"]), noIPv4);
  const noNetwork = { host: "0.0.0.0", advertise: { host: "127.0.0.1" }, others: [] };
  assertEquals(sharePlace({ host: "auto" }, []), noNetwork);
  const local = { host: "127.0.0.1", advertise: undefined, others: [] };
  assertEquals(sharePlace({ host: "127.0.0.1" }, own), local);
  for (const port of [null, 6000]) {
    const advertise = { host: "example.org", port };
    assertEquals(sharePlace({ host: "auto", advertise }, own), {
      host: "0.0.0.0",
      advertise: { host: "example.org", ...(port === null ? {} : { port }) },
      others: [],
    });
  }
});
