import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { e2e, type Outcome, sha256Of, variable } from "./helpers.ts";

const MIB = 1024 * 1024;

/** What `transfer-finished` says of a send that has to have worked. */
function finished({ code, lines, stderr }: Outcome): { seconds: number } {
  assertEquals(code, 0, stderr);
  const event = lines.find((line) => line.event === "transfer-finished");
  assert(event);
  return { seconds: event.seconds };
}

/**
 * Fails when bytes came faster than `limit` MiB a second and 5 %. That they came slower than that says
 * little on a machine with other work; far slower would be a limit of its own.
 */
function assertLimited(bytes: number, seconds: number, limit: number): void {
  const rate = bytes / seconds / MIB;
  assert(rate < limit * 1.05, `${rate} MiB/s are more than ${limit}`);
  assert(rate > limit / 8, `${rate} MiB/s are far less than ${limit}`);
}

e2e("--limit-rate holds for what is sent and for what is received", async (world) => {
  await world.tracker();
  const [open, limited] = [
    await world.peer("in1", ["--name", "open"]),
    await world.peer("in2", ["--name", "limited", "--limit-rate", "8M"]),
  ];
  const { path, sha256 } = await world.file("f", 20 * MIB);
  const [sent, received] = await Promise.all([
    world.run("peer", ["send", path, "--to", "open", "--limit-rate", "8M", "--json"]),
    world.run("peer", ["send", path, "--to", "limited", "--json"]),
  ]);
  for (const outcome of [sent, received]) assertLimited(20 * MIB, finished(outcome).seconds, 8);
  for (const { received } of [open, limited]) {
    assertEquals(await sha256Of(join(received, "f")), sha256);
  }
});

e2e("--limit-rate holds within 5 % over ten seconds, either way", async (world) => {
  await world.tracker();
  await world.peer("in1", ["--name", "open"]);
  await world.peer("in2", ["--name", "limited", "--limit-rate", "10M"]);
  const { path } = await world.file("f", 100 * MIB);
  const ways = [["--to", "open", "--limit-rate", "10M"], ["--to", "limited"]];
  for (const way of ways) {
    const outcome = await world.run("peer", ["send", path, ...way, "--json"]);
    const rate = 100 / finished(outcome).seconds;
    assert(rate > 9.5 && rate < 10.5, `${way}: ${rate} MiB/s`);
  }
}, { ignore: variable("P2P_BIG") === undefined && "set P2P_BIG=1 to run it" });
