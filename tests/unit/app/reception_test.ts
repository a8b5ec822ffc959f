import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { explain } from "../../../lib/app/receive.ts";
import { OneTransfer, ShareReception } from "../../../lib/app/reception.ts";
import type { AppEvent } from "../../../lib/events.ts";
import { type ErrorCode, ExitCode, P2PError } from "../../../lib/errors.ts";
import type { OfferedFile } from "../../../lib/peer/peer.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

const SHARER = "s".repeat(43);

function offer(more: Partial<OfferedFile> = {}): OfferedFile {
  return { from: SHARER, transfer: "t1", name: "f.bin", size: 3, ...more };
}

function failed(code: ErrorCode, transfer = "t1"): AppEvent {
  return {
    event: "receive-failed",
    transfer,
    name: "f.bin",
    from: "desk",
    code,
    message: `It is ${code}`,
  };
}

function received(transfer = "t1"): AppEvent {
  const file = { path: "/in/f.bin", size: 3, sha256: "", from: "desk", seconds: 1 };
  return { event: "file-received", transfer, bytesReceived: 1, ...file };
}

const REGISTERED: AppEvent = {
  event: "registered",
  tracker: "h:1",
  name: "n",
  host: "h",
  port: 1,
  reachable: false,
};

function share(ready: Promise<unknown> = Promise.resolve()) {
  const clock = new FakeClock();
  return { clock, reception: new ShareReception({ sharer: SHARER, ready, clock }) };
}

/** The code that a reception ended with; empty for success. */
function codeOf({ ended }: { ended: Promise<void> }): Promise<string> {
  return ended.then(() => "", (error: P2PError) => error.code);
}

Deno.test("A share is complete when it says goodbye after it has sent", async () => {
  const { reception } = share();
  await reception.accept(offer());
  reception.onEvent(failed("connection-lost"));
  reception.onEvent(received());
  assert(reception.onTrackerEnded(null), "it would come back");
  assertEquals(await codeOf(reception), "");
});

Deno.test("A goodbye of a share that sent nothing is no success", async () => {
  const { reception } = share();
  // Offered, and refused after all.
  (await reception.accept(offer()))();
  reception.onTrackerEnded(null);
  assertEquals(await codeOf(reception), "shutting-down");
});

Deno.test("Only the sharer may send, and not before the receiver is ready", async () => {
  const ready = Promise.withResolvers<void>();
  const { reception } = share(ready.promise);
  const error = await assertRejects(
    () => reception.accept(offer({ from: "x".repeat(43) })),
    P2PError,
  );
  assertEquals(error.code, "refused");
  let accepted = false;
  const accepting = reception.accept(offer()).then(() => accepted = true);
  await Promise.resolve();
  assert(!accepted);
  ready.resolve();
  assert(await accepting);
});

Deno.test("A share hands over as much as it has announced, and not more", async () => {
  for (const announced of [undefined, 1, 3]) {
    const count = announced ?? 1;
    const reception = new ShareReception({
      sharer: SHARER,
      ready: Promise.resolve(),
      ...(announced === undefined ? {} : { contents: () => announced }),
    });
    const isRefused = async (more: Partial<OfferedFile>) => {
      const { code } = await assertRejects(() => reception.accept(offer(more)), P2PError);
      assertEquals(code, "refused");
    };
    for (let n = 0; n < count; n++) {
      await reception.accept(offer({ transfer: `t${n}`, name: `${n}` }));
    }
    // One that was begun may begin anew under another transfer; with other pieces it would be kept beside that.
    const undo = await reception.accept(offer({ transfer: "again", name: "0" }));
    await isRefused({ transfer: "t0", name: "0", pieceSize: 1 });
    await isRefused({ transfer: "t0", name: "more" });
    await isRefused({ transfer: "t0", name: "0", size: null });
    undo();
    // What has come does not come again as another.
    reception.onEvent(received("t0"));
    await isRefused({ transfer: "other", name: "0" });
    await reception.accept(offer({ transfer: "t0", name: "0" }));
    assert(reception.onTrackerEnded(null));
    assertEquals(await codeOf(reception), "");
  }
});

Deno.test("What failed here says more than what the sharer was told; a lost connection does not", async () => {
  const told = new P2PError("disk", "The other side cannot use its disk", { remote: true });
  const table: [ErrorCode | null, P2PError, ErrorCode, ExitCode][] = [
    [null, told, "disk", ExitCode.local],
    ["integrity", told, "integrity", ExitCode.integrity],
    ["no-space", told, "no-space", ExitCode.local],
    [
      "connection-lost",
      new P2PError("shutting-down", "It ended"),
      "shutting-down",
      ExitCode.peerUnreachable,
    ],
  ];
  for (const [here, there, code, exitCode] of table) {
    const { reception } = share();
    await reception.accept(offer());
    if (here) reception.onEvent(failed(here));
    assert(reception.onTrackerEnded(there));
    const error = await assertRejects(() => reception.ended, P2PError);
    assertEquals([error.code, error.exitCode], [code, exitCode]);
  }
});

Deno.test("A share that went away is given up after a while, unless it comes back", async () => {
  const { reception, clock } = share();
  reception.onEvent({ event: "tracker-lost", reason: "reset" });
  clock.advance(29_999);
  reception.onEvent(REGISTERED);
  assertEquals(clock.pending, []);
  reception.onEvent({ event: "tracker-lost", reason: "reset" });
  reception.onEvent({ event: "tracker-lost", reason: "reset again" });
  clock.advance(30_000);
  const error = await assertRejects(() => reception.ended, P2PError, "reset again");
  assertEquals([error.code, clock.pending], ["tracker-unreachable", []]);
});

Deno.test("One transfer: others are refused, until the first has come to nothing", async () => {
  const one = new OneTransfer();
  const undo = await one.accept(offer());
  const other = offer({ from: "x".repeat(43), transfer: "t2" });
  assertEquals((await assertRejects(() => one.accept(other), P2PError)).code, "refused");
  undo();
  await one.accept(other);
  one.onEvent(received("t1"));
  one.onEvent(received("t2"));
  assertEquals(await codeOf(one), "");
  assertEquals(one.onTrackerEnded(), false);
});

Deno.test("One transfer: a sender that was started again goes on with the same file", async () => {
  const one = new OneTransfer();
  await one.accept(offer());
  await one.accept(offer());
  const again = await one.accept(offer({ transfer: "t2" }));
  for (const different of [{ name: "g.bin" }, { size: 4 }]) {
    await assertRejects(() => one.accept(offer({ transfer: "t3", ...different })), P2PError);
  }
  // The end of what it left is not the end.
  one.onEvent(failed("connection-lost", "t1"));
  one.onEvent(failed("integrity", "t2"));
  again();
  assertEquals(await codeOf(one), "integrity");
});

Deno.test("What a tracker says is put in terms of the line that was pasted", () => {
  const invite = { host: "10.0.0.7", port: 5005, network: SHARER, secret: new Uint8Array(16) };
  const cause = new P2PError("peer-unreachable", "Cannot connect to 10.0.0.7:5005: refused");
  const unreachable = new P2PError("tracker-unreachable", "See --tracker", { cause });
  assertEquals(
    explain(unreachable, invite).message,
    "Cannot connect to 10.0.0.7:5005: refused; is `peer share` still running there, and that port open?",
  );
  const wrong = explain(new P2PError("wrong-secret", "See --join"), invite);
  assertEquals(wrong.exitCode, ExitCode.unauthorised);
  assertStringIncludes(wrong.message, "10.0.0.7:5005");
  assert(!wrong.message.includes("--join"));
  const full = new P2PError("no-space", "Cannot receive 3 bytes");
  assertEquals(explain(full, invite), full);
  // Said by the command itself: it is right as it is.
  const gone = new P2PError("tracker-unreachable", "Cannot receive everything: the share is gone");
  assertEquals(explain(gone, invite), gone);
});
