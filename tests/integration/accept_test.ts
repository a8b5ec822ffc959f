/** Who may put files into an inbox: `--accept` between real peers. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { AcceptQuestion } from "../../lib/peer/offer_policy.ts";
import { exitCodeOfReports } from "../../lib/peer/send_job.ts";
import { EventLog } from "../helpers/event_log.ts";
import { Invariants } from "../helpers/invariants.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];

/** A person: what is asked, and the answers that the test gives. */
class Person {
  readonly asked = new EventLog<AcceptQuestion & { signal: AbortSignal }>();
  readonly #answers: ((yes: boolean) => void)[] = [];

  readonly ask = (question: AcceptQuestion, signal: AbortSignal): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#answers.push(resolve);
    this.asked.add({ ...question, signal });
    return promise;
  };

  async answer(index: number, yes: boolean): Promise<void> {
    await this.asked.until((question) => this.asked.all.indexOf(question) === index);
    this.#answers[index]?.(yes);
  }
}

permitted("a person decides on each offer", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const person = new Person();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, {
    name: "bob",
    accept: { who: "ask" },
    askPerson: person.ask,
  });
  const invariants = await Invariants.of(dir, [bob]);
  const path = await invariants.file("news.txt", bytesOf(1000));
  const [first, second] = [anna.peer.sendFile(path, ["bob"]), anna.peer.sendFile(path, ["bob"])];
  await person.answer(0, true);
  const { peer, name } = await anna.until("transfer-waiting");
  assertEquals([peer, name], ["bob", "news.txt"]);
  await person.answer(1, false);
  const reports = await Promise.all([first, second]);
  const states = reports.map(({ recipients: [only] }) => only?.state).sort();
  assertEquals(states, ["delivered", "failed"]);
  const refused = reports.filter(({ failures }) => failures.length > 0);
  assertEquals(exitCodeOfReports(refused), 4);
  const [failure] = refused.flatMap(({ failures }) => failures);
  assertEquals(failure?.code, "refused");
  assertStringIncludes(failure?.message ?? "", "bob was asked, and its owner declined");
  const [question] = person.asked.all;
  assertEquals([question?.name, question?.size, question?.peer], ["news.txt", 1000, "anna"]);
  assertEquals((await bob.until("receive-failed")).code, "refused");
  await invariants.assertAll(reports);
});

permitted("the question goes when the sender does", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const person = new Person();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const setting = { name: "bob", accept: { who: "ask" }, askPerson: person.ask } as const;
  await using bob = await startPeer(tracker, dir, setting);
  await Deno.writeFile(dir.at("file"), bytesOf(1000));
  const stop = new AbortController();
  const sending = anna.peer.sendFile(dir.at("file"), ["bob"], { signal: stop.signal });
  const { signal } = await person.asked.until(() => true);
  const withdrawn = new Promise((resolve) => signal.addEventListener("abort", resolve));
  stop.abort();
  await withdrawn;
  await sending;
  assertEquals((await bob.until("receive-failed")).code, "connection-lost");
});

permitted("only the peers that are named get a file in", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using eve = await startPeer(tracker, dir, { name: "eve" });
  await using bob = await startPeer(tracker, dir, {
    name: "bob",
    accept: { who: "peers", peers: ["anna"] },
  });
  const invariants = await Invariants.of(dir, [bob]);
  const path = await invariants.file("news.txt", bytesOf(1000));
  const welcome = await anna.peer.sendFile(path, ["bob"]);
  assertEquals(welcome.failures, []);
  const refused = await eve.peer.sendFile(path, ["bob"]);
  assertEquals(refused.failures.map(({ code }) => code), ["refused"]);
  assertEquals(exitCodeOfReports([refused]), 4);
  const { from, code } = await bob.until("receive-failed");
  assertEquals([from, code], ["eve", "refused"]);
  await invariants.assertAll([welcome]);
});

permitted("--parallel is how many recipients of one file are served at a time", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const [first, second] = [new Person(), new Person()];
  const asking = (name: string, person: Person) =>
    ({ name, accept: { who: "ask" }, askPerson: person.ask }) as const;
  await using anna = await startPeer(tracker, dir, { name: "anna", parallel: 1 });
  await using bob = await startPeer(tracker, dir, asking("bob", first));
  await using carl = await startPeer(tracker, dir, asking("carl", second));
  const invariants = await Invariants.of(dir, [bob, carl]);
  const path = await invariants.file("a.txt", bytesOf(1000, 1));
  const both = anna.peer.sendFile(path, ["bob", "carl"]);
  await first.asked.until(() => true);
  // Another file has places of its own.
  const other = await invariants.file("b.txt", bytesOf(1000, 2));
  const alone = anna.peer.sendFile(other, ["carl"]);
  await second.answer(0, true);
  assertEquals((await alone).failures, []);
  assertEquals(second.asked.all.map(({ name }) => name), ["b.txt"]);
  await first.answer(0, true);
  await second.answer(1, true);
  assertEquals((await both).failures, []);
  assertEquals(second.asked.all.map(({ name }) => name), ["b.txt", "a.txt"]);
  const last = anna.peer.sendFile(other, ["bob"]);
  await first.answer(1, false);
  assertEquals((await last).failures.map(({ code }) => code), ["refused"]);
});
