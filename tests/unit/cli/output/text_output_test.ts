import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { setColorEnabled } from "@std/fmt/colors";
import type { AppEvent, RecipientResult, TransferFinishedEvent } from "../../../../lib/events.ts";
import { formatDuration, formatSize } from "../../../../lib/cli/output/format.ts";
import { TextOutput, type TextOutputOptions } from "../../../../lib/cli/output/text_output.ts";
import { permitted } from "../../../helpers/permissions.ts";
import { FakeClock, FakeSink, idOf } from "../fakes.ts";

const SHA = "ab".repeat(32);
const INVITE = "p2p://192.168.1.7:5000/#net.secret";

function setup(options: Partial<TextOutputOptions> = {}, isTerminal = false) {
  const stdout = new FakeSink(isTerminal);
  const stderr = new FakeSink(isTerminal);
  const clock = new FakeClock();
  const output = new TextOutput({ stdout, stderr, clock, ...options });
  return { stdout, stderr, clock, output };
}

function textOf(event: AppEvent, options: Partial<TextOutputOptions> = {}): string {
  const { stdout, stderr, output } = setup(options);
  output.emit(event);
  output.close();
  return stdout.text + stderr.text;
}

function finished(recipients: RecipientResult[]): TransferFinishedEvent {
  return {
    event: "transfer-finished",
    transfer: "t",
    name: "data.json",
    size: 12 * 1024 * 1024,
    sha256: SHA,
    bytesSent: 12 * 1024 * 1024,
    seconds: 1.2,
    recipients,
  };
}

Deno.test("Each event has its text", () => {
  const id = idOf("3fA9c2d1");
  const table: [AppEvent, string][] = [
    [
      {
        event: "listening",
        host: "192.168.1.5",
        port: 4001,
        id,
        name: "desk",
        inbox: "/home/x/received_files",
        secure: true,
      },
      "Peer desk (3fA9c2d1) listening on 192.168.1.5:4001\nReceived files go to /home/x/received_files\n",
    ],
    [
      { event: "listening", host: "::1", port: 5000, id, secure: false },
      "Tracker 3fA9c2d1 listening on [::1]:5000\n" +
      "Insecure: nothing is encrypted, and anyone may join\n" +
      "On this machine `peer --insecure` finds it by itself\n" +
      "Only this machine can reach it; --host 0.0.0.0 opens it to other machines\n",
    ],
    [
      {
        event: "listening",
        host: "::ffff:127.0.0.1",
        port: 5000,
        id,
        secure: true,
        invite: INVITE,
      },
      "Tracker 3fA9c2d1 listening on [::ffff:127.0.0.1]:5000\n" +
      "On this machine `peer` finds it by itself\n" +
      "Only this machine can reach it; --host 0.0.0.0 opens it to other machines\n",
    ],
    [
      {
        event: "listening",
        host: "::",
        port: 4001,
        id,
        name: "desk",
        inbox: "/home/x/received_files",
        secure: true,
      },
      "Peer desk (3fA9c2d1) listening on port 4001 of all addresses of this machine\n" +
      "Received files go to /home/x/received_files\n",
    ],
    [
      {
        event: "listening",
        host: "0.0.0.0",
        port: 5000,
        id,
        secure: true,
        invite: INVITE,
        local: true,
      },
      "Tracker 3fA9c2d1 listening on port 5000 of all addresses of this machine\n" +
      "On this machine `peer` finds it by itself\n" +
      "Only this machine can reach it: the address that others would be told is of no use to them\n",
    ],
    [
      {
        event: "registered",
        tracker: "h:5000",
        name: "desk-2",
        host: "10.0.0.2",
        port: 7,
        reachable: false,
        reason: "open port 7",
      },
      "Registered at tracker h:5000 as desk-2 (10.0.0.2:7)\n" +
      "Others cannot reach this peer: open port 7\n",
    ],
    [
      {
        event: "registered",
        tracker: "h:5000",
        name: "desk",
        host: "10.0.0.2",
        port: 7,
        reachable: true,
        replaced: "10.0.0.9:7",
      },
      "Registered at tracker h:5000 as desk (10.0.0.2:7)\n" +
      "A peer with the same key was there, at 10.0.0.9:7, and has been sent away: this state folder " +
      "is used twice; give one of the two its own with --state DIR\n",
    ],
    [{ event: "unregistered" }, "Unregistered from the tracker\n"],
    [{ event: "tracker-lost", reason: "eof" }, "Lost the tracker: eof; trying to come back\n"],
    [
      { event: "peer-joined", id, name: "tv", address: "10.0.0.3:1" },
      "Peer tv (3fA9c2d1) joined from 10.0.0.3:1\n",
    ],
    [
      { event: "peer-left", id, name: "tv", address: "10.0.0.3:1", reason: "no PONG" },
      "Peer tv (3fA9c2d1) left: no PONG\n",
    ],
    [
      { event: "peer", id, name: "tv", address: "10.0.0.3:1", reachable: false },
      "tv                    3fA9c2d1  10.0.0.3:1             unreachable\n",
    ],
    [
      {
        event: "sharing",
        invite: INVITE,
        host: "0.0.0.0",
        port: 5000,
        id,
        items: [{ name: "a.txt", size: 2048 }, { name: "-", size: null }],
        wanted: 1,
        addresses: ["10.0.0.5", "10.9.0.5"],
      },
      "Sharing a.txt (2 KiB), - with the first that joins. On another machine, run\n\n" +
      `  peer receive\n\nand paste there:\n\n  ${INVITE}\n\n` +
      "Other addresses of this machine, which the invite may name instead: 10.0.0.5, 10.9.0.5\n",
    ],
    [
      { event: "share-delivered", id, peer: "tv", delivered: 1, wanted: 1 },
      "Peer tv has everything\n",
    ],
    [
      { event: "share-delivered", id, peer: "tv", delivered: 2, wanted: 3 },
      "Peer tv has everything (2 of 3)\n",
    ],
    [
      { event: "share-delivered", id, peer: "tv", delivered: 2, wanted: null },
      "Peer tv has everything (2)\n",
    ],
    [
      { event: "pong", peer: "tv", via: "direct", address: "h:1", ms: 1.234 },
      "PONG from tv (h:1) in 1.2 ms\n",
    ],
    [
      { event: "pong", peer: "tv", via: "dialled-back", address: "h:1", ms: 1.234 },
      "PONG from tv (h:1, which dialled back) in 1.2 ms\n",
    ],
    [
      { event: "pong", peer: "tv", via: "relay", address: "h:1", ms: 1.234 },
      "PONG from tv (via relay h:1) in 1.2 ms\n",
    ],
    [
      { event: "transfer-path", transfer: "t", peer: "tv", via: "relay", address: "h:1" },
      "To tv via relay h:1: no direct path has been found yet\n",
    ],
    [
      { event: "transfer-path", transfer: "t", peer: "tv", via: "direct", address: "h:2" },
      "To tv directly from now on: h:2\n",
    ],
    [
      { event: "pong", peer: "h:1", via: "direct", address: "h:1", ms: 41.7 },
      "PONG from h:1 in 42 ms\n",
    ],
    [
      { event: "message", id: "m", from: id, name: "tv", text: "hello", sent: "" },
      "Message from tv (3fA9c2d1): hello\n",
    ],
    [{ event: "broadcast-sent", id: "m", delivered: 1 }, "Broadcast delivered to 1 peer\n"],
    [
      {
        event: "transfer-started",
        transfer: "t",
        name: "a",
        size: 1536,
        direction: "send",
        peers: ["tv", id],
      },
      "Sending a (1.5 KiB) to tv, id:3fA9c2d1\n",
    ],
    [
      {
        event: "transfer-started",
        transfer: "t",
        name: "photos",
        size: 1536,
        direction: "send",
        files: 1200,
        peers: ["tv"],
      },
      "Sending photos (1200 files, 1.5 KiB) to tv\n",
    ],
    [
      {
        event: "transfer-started",
        transfer: "t",
        name: "log",
        size: null,
        direction: "receive",
        peers: ["tv"],
      },
      "Receiving log from tv\n",
    ],
    [
      { event: "transfer-retry", transfer: "t", peer: "tv", attempt: 2, reason: "lost" },
      "Trying tv again (retry 2): lost\n",
    ],
    [
      {
        event: "file-received",
        transfer: "t",
        path: "/in/a (1)",
        size: 3145728,
        sha256: SHA,
        from: "tv",
        seconds: 2,
        bytesReceived: 3145728,
      },
      `Received 3 MiB from tv in 2 s, 1.5 MiB/s\n  /in/a (1)\n  SHA-256 ${SHA}\n`,
    ],
    [
      {
        event: "file-received",
        transfer: "t",
        path: "/in/a",
        size: 3,
        sha256: SHA,
        from: "tv",
        seconds: 2,
        bytesReceived: 0,
        already: true,
      },
      `Peer tv sent again what is already here (3 B)\n  /in/a\n  SHA-256 ${SHA}\n`,
    ],
    [
      {
        event: "file-received",
        transfer: "t",
        path: "/in/photos",
        size: 3145728,
        sha256: null,
        files: 1,
        from: "tv",
        seconds: 2,
        // The other half was there from an earlier try.
        bytesReceived: 1572864,
      },
      "Received 1 file, 3 MiB from tv in 2 s, 768 KiB/s\n  /in/photos\n",
    ],
    [
      {
        event: "receive-failed",
        transfer: "t",
        name: "a",
        from: id,
        code: "integrity",
        message: "Cannot verify a: piece 3 differs",
      },
      "Not received: a from id:3fA9c2d1: Cannot verify a: piece 3 differs\n",
    ],
    [{ event: "invite", invite: INVITE, addresses: ["10.0.0.1"] }, `${INVITE}\n`],
    [
      { event: "removed", id },
      "Removed 3fA9c2d1: it can no longer join this network, until `tracker restore id:3fA9c2d1`\n",
    ],
    [
      { event: "removed", id, name: "box" },
      "Removed box (3fA9c2d1): it can no longer join this network, until `tracker restore box`\n",
    ],
    [{ event: "barred", id, name: "box" }, "box                   3fA9c2d1  removed\n"],
    [{ event: "barred", id }, "(no name)             3fA9c2d1  removed\n"],
    [
      { event: "restored", id, name: "box" },
      "Restored box (3fA9c2d1): it can join this network again\n",
    ],
    [{ event: "notice", message: "a\nb" }, "a\\x0ab\n"],
    [
      {
        event: "error",
        code: "peer-ambiguous",
        message: "Cannot find id:3f: it fits two",
        candidates: ["tv", "desk"],
      },
      "error: Cannot find id:3f: it fits two\n  tv\n  desk\n",
    ],
  ];
  for (const [event, text] of table) assertEquals(textOf(event), text);
});

Deno.test("History has a local time, the direction and what went wrong", () => {
  const event = {
    event: "history",
    at: "2026-02-03T04:05:06Z",
    name: "a",
    size: 0,
    peer: "tv",
  } as const;
  const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d`;
  assertMatch(
    textOf({ ...event, direction: "send", state: "failed" }),
    new RegExp(`^${time}  sent      a \\(0 B\\) to tv: failed\n$`),
  );
  assertMatch(
    textOf({ ...event, direction: "receive", state: "received", path: "/in/a" }),
    new RegExp(`^${time}  received  a \\(0 B\\) from tv\n    /in/a\n$`),
  );
});

Deno.test("A finished transfer says what happened to each recipient", () => {
  const tv: RecipientResult = { peer: "tv", id: "i", state: "delivered", savedAs: "data (1).json" };
  const desk: RecipientResult = { peer: "desk", id: "i", state: "already", savedAs: "data.json" };
  const error = { code: "timeout", message: "Cannot reach lap: no answer" };
  const lap: RecipientResult = { peer: "lap", id: "i", state: "failed", error };
  assertEquals(
    textOf(finished([tv, desk, lap])),
    `Sent data.json (12 MiB) to 2 of 3 peers in 1.2 s, 10 MiB/s
  tv: delivered, saved as data (1).json
  desk: already has it as data.json
  lap: failed: Cannot reach lap: no answer
  SHA-256 ${SHA}
`,
  );
  assertStringIncludes(textOf(finished([tv])), "Sent data.json (12 MiB) in 1.2 s, 10 MiB/s\n");
  assertStringIncludes(textOf(finished([desk])), "Sent data.json (12 MiB): already there\n");
  assertStringIncludes(textOf(finished([lap])), "Not sent: data.json (12 MiB)\n  lap: failed");
  assertStringIncludes(
    textOf({ ...finished([tv]), files: 3 }),
    "Sent data.json (3 files, 12 MiB) in 1.2 s",
  );
});

Deno.test("The invite is shown at start-up on a terminal only", () => {
  const event: AppEvent = {
    event: "listening",
    host: "0.0.0.0",
    port: 5000,
    id: idOf("a"),
    invite: INVITE,
    secure: true,
  };
  assert(!textOf(event).includes("secret"));
  assertStringIncludes(textOf(event), "`tracker invite`");
  assertStringIncludes(
    textOf(event, { showInvite: true }),
    `To join from another machine, run \`peer --join -\` there and paste:\n  ${INVITE}\n`,
  );
});

Deno.test("What a remote wrote can't act on the terminal", () => {
  const evil = "a\x1b[2J\u009b\u202eb\rc";
  const safe = "a\\x1b[2J\\x9b\\u{202e}b\\x0dc";
  const id = idOf("a");
  const error = { code: evil, message: evil };
  const events: AppEvent[] = [
    { event: "message", id: evil, from: evil, name: evil, text: evil, sent: evil },
    { event: "peer-joined", id, name: evil, address: evil },
    { event: "peer-left", id, name: evil, address: evil, reason: evil },
    { event: "peer", id, name: evil, address: evil, reachable: true },
    { event: "pong", peer: evil, via: "direct", address: evil, ms: 1 },
    { event: "tracker-lost", reason: evil },
    { event: "registered", tracker: evil, name: evil, host: evil, port: 1, reachable: true },
    {
      event: "transfer-started",
      transfer: "t",
      name: evil,
      size: 1,
      direction: "receive",
      peers: [evil],
    },
    { event: "transfer-progress", transfer: "t", peer: evil, bytes: 1, size: 3, rate: 1 },
    { event: "transfer-retry", transfer: "t", peer: evil, attempt: 1, reason: evil },
    { event: "receive-failed", transfer: "t", name: evil, from: evil, code: evil, message: evil },
    {
      event: "file-received",
      transfer: "t",
      path: evil,
      size: 1,
      sha256: evil,
      from: evil,
      seconds: 1,
      bytesReceived: 1,
    },
    finished([{ peer: evil, id: evil, state: "failed", error }]),
    finished([{ peer: evil, id: evil, state: "delivered", savedAs: evil }]),
    {
      event: "receipt",
      recipient: evil,
      network: evil,
      transfer: evil,
      sender: evil,
      name: evil,
      size: 1,
      manifest: evil,
      time: evil,
      signature: evil,
    },
    {
      ...{ event: "queued", id: evil, at: evil, until: evil, peer: evil, recipient: evil },
      ...{ name: evil, size: 1, path: evil, tries: 1, state: "failed", reason: evil },
    },
    {
      ...{ event: "dequeued", id: evil, why: "delivered", peer: evil, recipient: evil },
      ...{ message: evil, text: evil, tries: 1 },
    },
    { event: "history", direction: "send", at: evil, name: evil, size: 1, peer: evil, state: evil },
    { event: "notice", message: evil },
    { event: "error", code: "unexpected", message: evil, candidates: [evil] },
  ];
  for (const event of events) {
    const text = textOf(event);
    assertStringIncludes(text, safe);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(text), text);
  }
});

Deno.test("What waits says for whom, how often it was tried, and what became of it", () => {
  const at = new Date(2026, 10, 28, 9, 3).toISOString();
  const until = new Date(2026, 11, 5, 9, 3).toISOString();
  const recipient = idOf("3fA9c2d1");
  const entry = { id: "117050e1-1", peer: "bob", recipient };
  const file = { ...entry, name: "a.txt", size: 1024, path: "/data/a.txt" };
  const message = { ...entry, message: "m", text: `two\nlines ${"x".repeat(50)}` };
  const queued = { event: "queued", at, until } as const;
  const head = "2026-11-28 09:03  queued    ";
  const table: [AppEvent, string][] = [
    [
      { ...queued, ...file, tries: 0, state: "waiting" },
      `${head}a.txt (1 KiB) for bob, until 2026-12-05 09:03  [117050e1-1]\n`,
    ],
    [
      { ...queued, ...file, tries: 1, state: "failed", reason: "it said no", changed: true },
      `${head}a.txt (1 KiB) for bob, until 2026-12-05 09:03  [117050e1-1]: failed\n` +
      "    tried once; it said no; changed since it was queued: what is there then is sent\n",
    ],
    [
      { ...queued, ...message, peer: recipient, tries: 2, state: "trying" },
      `${head}message "two lines ${"x".repeat(30)}..." for id:3fA9c2d1, until 2026-12-05 09:03  ` +
      "[117050e1-1]: trying\n    tried 2 times\n",
    ],
    [
      { event: "dequeued", ...file, why: "delivered", tries: 1, changed: true },
      "Delivered from the queue: a.txt (1 KiB) for bob; it had changed since it was queued, and what " +
      "is there now was sent\n",
    ],
    [
      { event: "dequeued", ...message, text: "hi", why: "expired", tries: 0 },
      'Given up, it has waited too long: message "hi" for bob\n',
    ],
    [
      { event: "dequeued", ...file, why: "cancelled", tries: 0 },
      "Taken out of the queue: a.txt (1 KiB) for bob\n",
    ],
  ];
  for (const [event, text] of table) assertEquals(textOf(event), text);
});

Deno.test("A message of several lines can't pose as other events", () => {
  const text = "hi\r\nerror: all is lost";
  assertEquals(
    textOf({ event: "message", id: "m", from: idOf("b"), name: "tv", text, sent: "" }),
    "Message from tv (b0000000):\n  hi\n  error: all is lost\n",
  );
});

Deno.test("Errors go to standard error, everything else to standard output", () => {
  const { stdout, stderr, output } = setup();
  output.emit({ event: "error", code: "usage", message: "no" });
  assertEquals([stdout.text, stderr.take()], ["", "error: no\n"]);
  output.emit(finished([]));
  assertEquals(stderr.text, "");
});

Deno.test("Quiet leaves results and errors", () => {
  const { stdout, stderr, output } = setup({ quiet: true });
  output.emit({ event: "notice", message: "x" });
  output.emit({ event: "peer-joined", id: idOf("a"), name: "x", address: "x" });
  assertEquals(stdout.text, "");
  output.emit({ event: "message", id: "m", from: idOf("a"), name: "x", text: "x", sent: "" });
  output.emit({ event: "error", code: "usage", message: "no" });
  assert(stdout.text !== "" && stderr.text !== "");
});

Deno.test("Plain progress comes every 5 s or 25 %, and never after the end", () => {
  const { stdout, clock, output } = setup();
  const progress = (bytes: number) =>
    output.emit({
      event: "transfer-progress",
      transfer: "t",
      peer: "tv",
      bytes,
      size: 100,
      rate: 2,
    });
  output.emit({
    event: "transfer-started",
    transfer: "t",
    name: "a",
    size: 100,
    direction: "send",
    peers: ["tv"],
  });
  stdout.take();
  progress(60);
  assertEquals(stdout.take(), "", "within a second");
  clock.advance(1000);
  progress(60);
  assertEquals(stdout.take(), "Sending a to tv: 60 % (60 B of 100 B), 2 B/s, 0:20 left\n");
  clock.advance(4999);
  progress(84);
  assertEquals(stdout.take(), "", "neither 5 s nor 25 %");
  progress(85);
  assertEquals(stdout.take(), "Sending a to tv: 85 % (85 B of 100 B), 2 B/s, 0:08 left\n");
  clock.advance(5000);
  progress(86);
  assertEquals(stdout.take(), "Sending a to tv: 86 % (86 B of 100 B), 2 B/s, 0:07 left\n");
  clock.advance(5000);
  progress(100);
  assertEquals(stdout.take(), "", "the end has a line of its own");
});

permitted("Colours appear on a terminal only", [], () => {
  setColorEnabled(true);
  const { stderr, output } = setup({}, true);
  output.emit({ event: "error", code: "usage", message: "no" });
  assertEquals(stderr.text, "\x1b[31merror:\x1b[39m no\n");
}, { ignore: Deno.noColor && "NO_COLOR is set" });

Deno.test("Sizes and times", () => {
  assertEquals([0, 999, 1024, 12.9e6, 1e12].map(formatSize), [
    "0 B",
    "999 B",
    "1 KiB",
    "12.3 MiB",
    "931 GiB",
  ]);
  assertEquals([0, 0.123, 3.14, 42.4, 125, 3720, Infinity].map(formatDuration), [
    "0 s",
    "0.12 s",
    "3.1 s",
    "42 s",
    "2 min 5 s",
    "1 h 2 min",
    "?",
  ]);
});

Deno.test("Many things that are shared are counted, and quiet leaves the line to paste alone", () => {
  const item = (size: number | null) => ({ name: "x", size });
  const sharing = (wanted: number | null, sizes: (number | null)[]): AppEvent => ({
    event: "sharing",
    invite: INVITE,
    host: "h",
    port: 1,
    id: idOf("3fA9c2d1"),
    items: sizes.map(item),
    wanted,
  });
  const line = `${INVITE}\n`;
  assertEquals(
    textOf(sharing(2, [1024, 1024, 1024, 1024])),
    `Sharing 4 items (4 KiB) with the first 2 that join. On another machine, run\n\n  peer receive\n\n` +
      `and paste there:\n\n  ${line}`,
  );
  assertStringIncludes(
    textOf(sharing(null, [1, 2, 3, null])),
    "Sharing 4 items with whoever joins,",
  );
  assertEquals(textOf(sharing(1, [1]), { quiet: true }), line);
});

Deno.test("Nothing that a remote wrote begins a line, or has an escape", () => {
  const text = "forged\r\nforged\u2028forged\u001b[2Jforged\u0085forged";
  const id = idOf("3fA9c2d1");
  const [address, reason, transfer, seconds, at] = [text, text, "t", 1, "2026-02-03T14:05:00Z"];
  const events: AppEvent[] = [
    { event: "notice", message: `Refused 10.0.0.1:5000: ${text}` },
    { event: "error", code: "refused", message: text, candidates: [text] },
    { event: "message", id: "m", from: id, name: "anna", text, sent: at },
    { event: "message", id: "m", from: id, name: text, text: "hello", sent: at },
    { event: "peer-joined", id, name: text, address },
    { event: "peer-left", id, name: text, address },
    { event: "tracker-lost", reason },
    {
      event: "registered",
      tracker: text,
      name: text,
      host: text,
      port: 1,
      reachable: false,
      reason,
    },
    {
      event: "transfer-started",
      transfer,
      name: text,
      size: 1,
      direction: "receive",
      peers: [text],
    },
    { event: "transfer-waiting", transfer, name: text, peer: text },
    { event: "convicted", id: text, name: text, transfer },
    { event: "transfer-recipient", transfer, peer: text, id: text, state: "delivered" },
    {
      event: "transfer-recipient",
      transfer,
      peer: text,
      id: "",
      state: "failed",
      error: { code: text, message: text },
    },
    {
      event: "share",
      id: text,
      running: true,
      at: text,
      name: text,
      size: 1,
      sender: text,
      peer: text,
      recipients: 2,
      delivered: 1,
      failed: 1,
    },
    {
      event: "share-recipient",
      share: text,
      size: 1,
      peer: text,
      id: text,
      state: "failed",
      error: { code: text, message: text },
    },
    { event: "transfer-joined", transfer, name: text, peer: text },
    { event: "transfer-spread", transfer, name: text, spread: true },
    { event: "transfer-spread", transfer, name: text, spread: false },
    { event: "transfer-retry", transfer, peer: text, attempt: 1, reason },
    { event: "receive-failed", transfer, name: text, from: text, code: "disk", message: text },
    {
      event: "file-received",
      transfer,
      path: `/in/${text}`,
      size: 1,
      sha256: SHA,
      from: text,
      seconds,
      bytesReceived: 1,
    },
    {
      event: "file-received",
      transfer,
      path: text,
      size: 1,
      sha256: null,
      from: text,
      seconds,
      bytesReceived: 1,
      already: true,
    },
    { event: "share-delivered", id, peer: text, delivered: 1, wanted: 1 },
    finished([
      { id, peer: text, state: "delivered", savedAs: text },
      { id, peer: text, state: "failed", error: { code: "disk", message: text } },
    ]),
  ];
  for (const isTerminal of [false, true]) {
    const { stdout, stderr, output, clock } = setup({ bars: null }, isTerminal);
    for (const event of events) output.emit(event);
    for (const label of [true, false]) {
      if (label) {
        output.emit({
          event: "transfer-started",
          transfer,
          name: text,
          size: null,
          direction: "receive",
          peers: [text],
        });
      }
      clock.advance(6000);
      output.emit({ event: "transfer-progress", transfer, peer: text, bytes: 1, size: 9, rate: 1 });
      output.emit({
        event: "receive-failed",
        transfer,
        name: "f",
        from: "a",
        code: "disk",
        message: "x",
      });
    }
    output.close();
    const all = stdout.text + stderr.text;
    assertStringIncludes(all, "forged");
    for (const line of all.split(/[\n\r\u2028\u0085]/)) assert(!line.startsWith("forged"), line);
    assert(!all.includes("\u001b[2J"), all);
  }
});

Deno.test("No event shows an invite but those that are there to show it", () => {
  const line =
    "p2p://10.0.0.1:5000/#AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8.ICEiIyQlJicoKSorLC0uLw";
  const secret = "ICEiIyQlJicoKSorLC0uLw";
  const events: AppEvent[] = [
    { event: "error", code: "usage", message: `Cannot find ${line}`, candidates: [line] },
    { event: "notice", message: `Refused 10.0.0.1:5000: ${line}` },
    { event: "tracker-lost", reason: line },
    { event: "receive-failed", transfer: "t", name: line, from: "a", code: "disk", message: line },
  ];
  for (const event of events) {
    const text = textOf(event);
    assert(text.includes("p2p://\u2026") && !text.includes(secret), text);
  }
  assertStringIncludes(textOf({ event: "invite", invite: line }), line);
});
