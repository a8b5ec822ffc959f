import { assert, assertEquals } from "@std/assert";
import { Invariants } from "../helpers/invariants.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const MIB = 1024 * 1024;

permitted("64 transfers at once between two peers all finish", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const paths: string[] = [];
  for (let i = 0; i < 64; i++) paths.push(await invariants.file(`${i}`, bytesOf(3 * MIB + i, i)));
  const reports = await Promise.all(paths.map((path) => anna.peer.sendFile(path, ["bob"])));
  assertEquals(reports.flatMap(({ failures }) => failures), []);
  // Memory is scarce among so many, and yet nothing went out twice.
  assertEquals(reports.map(({ size, bytesSent }) => bytesSent - size), reports.map(() => 0));
  await invariants.assertAll(reports);
});

for (const limited of ["anna", "bob"]) {
  const way = limited === "anna" ? "sender" : "receiver";
  permitted(`the rate limit of a ${way} is one for all its transfers`, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    const limitOf = (name: string) => name === limited ? { limitRate: 16 * MIB } : {};
    await using anna = await startPeer(tracker, dir, { name: "anna", ...limitOf("anna") });
    await using bob = await startPeer(tracker, dir, { name: "bob", ...limitOf("bob") });
    const invariants = await Invariants.of(dir, [anna, bob]);
    const paths: string[] = [];
    for (let i = 0; i < 8; i++) paths.push(await invariants.file(`${i}`, bytesOf(3 * MIB, i)));
    const reports = await Promise.all(paths.map((path) => anna.peer.sendFile(path, ["bob"])));
    assertEquals(reports.flatMap(({ failures }) => failures), []);
    const slowest = Math.max(...reports.map(({ seconds }) => seconds));
    assert(slowest > 1.3, `24 MiB at 16 MiB/s took ${slowest} s`);
    await invariants.assertAll(reports);
  });
}
