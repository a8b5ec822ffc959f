import { assertEquals } from "@std/assert";
import { DownloadSources } from "../../../lib/transfer/download_sources.ts";
import { LargeTurns } from "../../../lib/transfer/large_turns.ts";
import { PeerLink } from "../../../lib/transfer/peer_link.ts";
import { PiecePicker } from "../../../lib/transfer/picker.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { sessionPair } from "../../helpers/pipes.ts";

const MIB = 1024 * 1024;

/** The sources of a download of pieces of 1 MiB, and a link to one. */
function scene({ clock, picker, turns, memory }: {
  clock: FakeClock;
  picker: PiecePicker;
  turns: LargeTurns;
  memory: number;
}) {
  const [near, far] = sessionPair({ clock });
  const link = new PeerLink(near);
  const sources = new DownloadSources({
    offer: {
      transfer: "A".repeat(22),
      from: "anna",
      name: "thing",
      size: 64 * MIB,
      pieceSize: MIB,
      scheme: "independent",
      swarm: false,
      table: null,
    },
    picker,
    lengthOf: () => MIB,
    share: { bytes: memory, [Symbol.dispose]: () => {} },
    turns,
    clock,
  });
  return { near, far, link, sources };
}

Deno.test("while others have their turn nobody owes a large piece, and its session may be silent", async () => {
  const clock = new FakeClock();
  const picker = new PiecePicker();
  const turns = new LargeTurns();
  const others = Array.from({ length: 8 }, () => ({}));
  for (const other of others) turns.take(other, () => {});
  const { near, far, link, sources } = scene({ clock, picker, turns, memory: MIB });
  sources.add(link);
  picker.grow(4);
  sources.fill();
  for (let minute = 0; minute < 3; minute++) {
    assertEquals([picker.askedCount, sources.areOwing], [0, false]);
    sources.abortOverdue();
    clock.advance(60_000);
  }
  assertEquals(near.connection.closed, undefined);
  turns.end(others[0] ?? {});
  assertEquals([picker.askedCount, sources.areOwing], [2, true]);
  clock.advance(121_000);
  sources.abortOverdue();
  assertEquals(near.connection.closed?.code, "timeout");
  sources.stop();
  far.connection.close();
  await link.ended;
});

Deno.test("a source that answers in less than 20 ms once is near: it is asked for 8 MiB, and else for 32", async () => {
  for (const [answers, asked] of [[[], 8], [[20], 32], [[19], 8], [[300, 5], 8]] as const) {
    const picker = new PiecePicker();
    const clock = new FakeClock();
    const turns = new LargeTurns();
    const { far, link, sources } = scene({ clock, picker, turns, memory: 64 * MIB });
    sources.add(link);
    picker.grow(64);
    for (const ms of answers) sources.answeredIn(ms);
    sources.fill();
    assertEquals(picker.askedCount, asked, `${answers}`);
    sources.stop();
    far.connection.close();
    await link.ended;
  }
});
