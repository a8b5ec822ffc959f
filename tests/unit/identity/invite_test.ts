import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { redactInvite } from "../../../lib/cli/output/redact.ts";
import { formatInvite, type Invite, parseInvite } from "../../../lib/identity/invite.ts";

const network = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const secretText = "ICEiIyQlJicoKSorLC0uLw";
const secret = Uint8Array.from({ length: 16 }, (_, i) => 0x20 + i);
const line = `p2p://tracker.example:5000/#${network}.${secretText}`;
const invite: Invite = { host: "tracker.example", port: 5000, network, secret };

Deno.test("an invite is one line, and comes back from it", () => {
  assertEquals(formatInvite(invite), line);
  assertEquals(parseInvite(line), invite);
  const ipv6 = { ...invite, host: "fe80::1%eth0" };
  assertEquals(formatInvite(ipv6).slice(0, 25), "p2p://[fe80::1%eth0]:5000");
  assertEquals(parseInvite(formatInvite(ipv6)), ipv6);
});

Deno.test("an invite may name several hosts of one tracker", () => {
  const several = { ...invite, others: ["192.168.1.7", "fd00::1"] };
  const text = line.replace("example", "example,192.168.1.7,[fd00::1]");
  assertEquals(formatInvite(several), text);
  assertEquals(parseInvite(text), several);
});

Deno.test("space, quotes, a capital scheme and a lost slash do no harm", () => {
  for (
    const text of [
      `  ${line}\r\n`,
      `"${line}"`,
      ` '${line}' `,
      `\`${line}\``,
      `<${line}>`,
      `\u201c${line}\u201d`,
      line.replace("p2p", "P2P"),
      line.replace("/#", "#"),
    ]
  ) {
    assertEquals(parseInvite(text), invite);
  }
});

Deno.test("what is no invite is refused, with the reason and the right shape, without the secret", () => {
  const cases: [text: string, reason: string][] = [
    ["", "start with p2p://"],
    [line.replace("p2p:", "https:"), "start with p2p://"],
    [line.slice(6), "start with p2p://"],
    ["p2p://tracker.example:5000/", "from # on is missing"],
    [line.replace(":5000", ""), "no host:port/"],
    [line.replace("5000", "0"), "port"],
    [line.replace("5000", "65536"), "port"],
    [line.replace("5000", "+80"), "no host:port/"],
    [line.replace("/#", "/x#"), "no host:port/"],
    [line.replace("tracker.example", ""), "host is no name"],
    [line.replace("tracker.example", "a b"), "host is no name"],
    [line.replace("tracker.example", "-a"), "host is no name"],
    [line.replace("tracker.example", "user@a"), "host is no name"],
    [line.replace("tracker.example", "::1"), "no host:port/"],
    [line.replace("tracker.example", "[tracker]"), "host is no name"],
    [line.replace("tracker.example", "[]"), "host is no name"],
    [line.replace("tracker.example", "a,"), "host is no name"],
    [line.replace("tracker.example", "a,::1"), "no host:port/"],
    [line.replace("tracker.example", "a:5000,b"), "no host:port/"],
    [line.replace("tracker.example", "a,b,c,d,e,f,g,h,i"), "more than 8 hosts"],
    [line.replace("tracker.example", "a".repeat(254)), "host is no name"],
    [line.replace("tracker.example", "\u202eevil"), "host is no name"],
    [line.replace(".ICE", "ICE"), "one network id, a dot"],
    [`${line}.x`, "one network id, a dot"],
    [line.replace("#A", "#"), "network id"],
    [line.replace("Hh8.", "Hh9."), "network id"], // stray low bits
    [line.slice(0, -1), "secret"],
    [`${line}A`, "secret"],
    [`${line}==`, "secret"],
    [`${line.slice(0, -1)}x`, "secret"], // stray low bits
    [`${line.slice(0, -1)}+`, "secret"],
    [`${line} ${line}`, "one network id, a dot"],
  ];
  for (const [text, reason] of cases) {
    const error = assertThrows(() => parseInvite(text), P2PError, reason, text);
    assertEquals(error.code, "usage");
    assertMatch(error.message, /p2p:\/\/host:port\/#<network id>\.<secret>$/);
    assert(!Deno.inspect(error).includes(secretText.slice(1, -1)));
    assertEquals(redactInvite(error.message), error.message);
  }
});

Deno.test("redactInvite leaves nothing of an invite", () => {
  const redacted = "p2p://\u2026";
  assertEquals(redactInvite(`joined ${line}\n`), `joined ${redacted}\n`);
  assertEquals(redactInvite(`{"invite":"${line}"}`), `{"invite":"${redacted}"}`);
  assertEquals(redactInvite(`${line} and ${line}`), `${redacted} and ${redacted}`);
  assertEquals(redactInvite(line.slice(0, -3)), redacted);
  assert(!redactInvite(line.slice(6)).includes(secretText));
  assert(!redactInvite(line.replace("//", "/")).includes(secretText));
  assertEquals(redactInvite("p2p://host:5000/ is down"), "p2p://host:5000/ is down");
});
