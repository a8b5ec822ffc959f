import { assertEquals } from "@std/assert";
import { type Candidates, candidatesOf } from "../../../lib/net/candidates.ts";

const at = (...hosts: string[]): Candidates => {
  const [first, ...addresses] = hosts.map((host) => ({ host, port: 1 }));
  return { host: "", port: 1, ...first, addresses };
};
const LAN = "192.168.1.1";
for (
  const [what, entry, options, expected] of [
    ["one address", at("10.0.0.1"), { via: LAN }, "10.0.0.1"],
    ["each once", at("10.0.0.1", "10.0.0.1", "10.0.0.2"), { via: LAN }, "10.0.0.1 10.0.0.2"],
    [
      "the families in turn, from the tracker's on",
      at("10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2"),
      { via: LAN },
      "10.0.0.1 2001:db8::1 10.0.0.2 2001:db8::2 10.0.0.3",
    ],
    [
      "more of the other family",
      at("10.0.0.1", "2001:db8::1", "2001:db8::2"),
      { via: LAN },
      "10.0.0.1 2001:db8::1 2001:db8::2",
    ],
    [
      "the one that worked last before the others",
      at("10.0.0.1", "10.0.0.2", "2001:db8::1"),
      { via: LAN, last: "[2001:db8::1]:1" },
      "2001:db8::1 10.0.0.1 10.0.0.2",
    ],
    [
      "one that worked last and is not there any more is not dialled",
      at("10.0.0.1"),
      { via: LAN, last: "10.0.0.9:1" },
      "10.0.0.1",
    ],
    ["loopback is this machine", at("127.0.0.1", "10.0.0.1", "::1"), { via: LAN }, "10.0.0.1"],
    ["loopback beside the tracker", at("127.0.0.1", "10.0.0.1"), {
      via: "127.0.0.1",
    }, "127.0.0.1 10.0.0.1"],
    ["the unspecified address is this machine", at("0.0.0.0", "10.0.0.1"), {
      via: "127.0.0.1",
    }, "10.0.0.1"],
    ["nothing that others may not have dialled", at("10.0.0.1", "0.0.0.0", "224.0.0.1", "a.b"), {
      via: LAN,
    }, "10.0.0.1"],
    [
      "link-local only by the link that the tracker is on, and not in the scope of another machine",
      at("fe80::1", "fe80::2%eth0"),
      { via: "fe80::9" },
      "fe80::1 fe80::2",
    ],
    ["no link-local address elsewhere", at("10.0.0.1", "fe80::2%2"), { via: LAN }, "10.0.0.1"],
  ] as const
) {
  Deno.test(`Candidates: ${what}`, () => {
    const texts = candidatesOf(entry, options).map(({ host }) => host);
    assertEquals(texts.join(" "), expected);
  });
}
