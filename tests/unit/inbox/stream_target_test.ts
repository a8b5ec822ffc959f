import { assertEquals } from "@std/assert";
import { StreamInbox } from "../../../lib/inbox/stream_inbox.ts";
import { StreamTarget } from "../../../lib/inbox/stream_target.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { offerOf, PROOF } from "../../helpers/partials.ts";

/** A target, and what has gone out of it. */
function scene() {
  const out: number[] = [];
  const target = new StreamTarget((bytes) => {
    out.push(...bytes);
    return Promise.resolve();
  });
  const settled: number[] = [];
  const write = (index: number) =>
    target.write(index, Uint8Array.of(index)).then(() => void settled.push(index));
  return { target, out, settled, write };
}

Deno.test("a piece that comes before its turn is written when its turn has come, and not before", async () => {
  const { out, settled, write } = scene();
  const early = [write(2), write(1)];
  await turn();
  assertEquals([out, settled], [[], []]);
  await write(0);
  await Promise.all(early);
  assertEquals([out, settled], [[0, 1, 2], [0, 1, 2]]);
});

Deno.test("writes that wait for a piece that will not come are given up", async () => {
  const { target, out, write } = scene();
  const waiting = rejectsWith("cancelled", () => write(1));
  target.stop();
  await waiting;
  await rejectsWith("cancelled", () => write(0));
  await target.flushed();
  assertEquals([out, target.hasBegun], [[], false]);
});

Deno.test("a reader that is gone fails what goes out, what waits and what comes", async () => {
  const target = new StreamTarget(() => Promise.reject(new Error("broken pipe")));
  const later = rejectsWith("disk", () => target.write(1, Uint8Array.of(1)));
  await rejectsWith("disk", () => target.write(0, Uint8Array.of(0)));
  await later;
  await rejectsWith("disk", () => target.write(2, Uint8Array.of(2)));
});

Deno.test("standard output takes one file, unless nothing of the first one came", async () => {
  const inbox = new StreamInbox(() => Promise.resolve());
  const offer = offerOf(1, 16 * 1024);
  await rejectsWith("refused", () => inbox.begin({ ...offer, table: 0 }));
  await inbox.begin(offer);
  await rejectsWith("refused", () => inbox.begin(offer));
  await inbox.release();
  const target = await inbox.begin(offer);
  await target.write(0, Uint8Array.of(7), PROOF);
  await inbox.release();
  await rejectsWith("refused", () => inbox.begin(offer));
});
