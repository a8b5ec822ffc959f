/** What a tracker remembers, in a file: what comes back of it, and what it leaves alone. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { P2PError } from "../../../lib/errors.ts";
import { Convictions } from "../../../lib/tracker/convictions.ts";
import { MemoryRegistry } from "../../../lib/tracker/registry/memory_registry.ts";
import { Shares } from "../../../lib/tracker/shares.ts";
import { MIGRATIONS } from "../../../lib/tracker/store/database.ts";
import { readBarred, SqliteStore } from "../../../lib/tracker/store/sqlite_store.ts";
import type { Evidence } from "../../../lib/identity/evidence.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { entryOf, epochs, idOf } from "../../helpers/entries.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const PAGE = { start: 0, count: 24 };

/** One life of a tracker after another, with the same file. */
class Lives implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly notices: string[] = [];
  readonly path: string;
  readonly #dir: Awaited<ReturnType<typeof tempDir>>;
  readonly #stores: SqliteStore[] = [];
  #lives = 0;

  private constructor(dir: Awaited<ReturnType<typeof tempDir>>) {
    this.#dir = dir;
    this.path = dir.at("state", "registry.db");
  }

  static async create(): Promise<Lives> {
    return new Lives(await tempDir());
  }

  /** Begins the next one. The one before was killed, so that it has closed nothing. */
  begin() {
    const { clock } = this;
    const notice = (message: string) => this.notices.push(message);
    const store = new SqliteStore(this.path, { notice, clock });
    this.#stores.push(store);
    const registry = new MemoryRegistry(epochs(this.#lives++ * 10), { clock, store });
    const now = () => Date.UTC(2026, 0) + clock.now();
    return {
      store,
      registry,
      shares: new Shares({ clock, store, now }),
      convictions: new Convictions(store),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores) store[Symbol.dispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** What is listed, in short. */
function listed({ registry }: { registry: MemoryRegistry }): string[] {
  return registry.list().map(({ name, away }) => away ? `${name} away` : name);
}

permitted("who was there is listed at once, and has a lease to come back", NEEDS, async () => {
  await using lives = await Lives.create();
  const first = lives.begin();
  const groups = ["lab"];
  first.registry.register(entryOf(1, { groups }), { lease: 10 });
  first.registry.register(entryOf(2, { addresses: [{ host: "10.0.0.9", port: 7 }] }));
  first.registry.register(entryOf(3));
  first.registry.register(entryOf(1, { groups, port: 6000 }));
  first.registry.unregister(idOf(3));
  const second = lives.begin();
  assertEquals(second.registry.list(), [
    entryOf(2, { addresses: [{ host: "10.0.0.9", port: 7 }], away: true }),
    entryOf(1, { groups, port: 6000, away: true }),
  ]);
  assert(second.registry.changes(4, epochs()()).full, "an epoch of its own");
  const events: string[] = [];
  second.registry.subscribe((event) => {
    events.push("entry" in event ? `${event.entry.name} ${event.kind}` : event.kind);
  });
  const { revision } = second.registry.changes(0);
  const back = entryOf(2, { addresses: [{ host: "10.0.0.9", port: 7 }] });
  second.registry.register(back, { lease: MINUTE });
  assertEquals(second.registry.changes(0).revision, revision, "no change of the list");
  lives.clock.advance(MINUTE - 1);
  assertEquals(second.registry.expire(), []);
  assertEquals(listed(second), ["p2", "p1 away"]);
  lives.clock.advance(1);
  assertEquals(second.registry.expire().map(({ name }) => name), ["p2", "p1"]);
  assertEquals(events, ["p2 returned", "p2 gone", "p1 gone"]);
  assertEquals(listed(lives.begin()), []);
});

permitted("names don't change hands, also of those who have left", NEEDS, async () => {
  await using lives = await Lives.create();
  const first = lives.begin();
  for (const n of [1, 2, 3]) first.registry.register(entryOf(n, { name: "Anna" }));
  first.registry.register(entryOf(1, { name: "other" }));
  first.registry.unregister(idOf(2));
  const { registry } = lives.begin();
  const ask = (n: number) => registry.register(entryOf(n, { name: "anna" })).entry.name;
  assertEquals([ask(4), ask(3), ask(2), ask(1)], ["anna-4", "anna-3", "anna-2", "anna"]);
  assertEquals(registry.register(entryOf(5, { name: "OTHER" })).entry.name, "OTHER-2");
});

permitted("who is barred stays so, in the order in which they were", NEEDS, async () => {
  await using lives = await Lives.create();
  const first = lives.begin();
  for (const n of [1, 2, 3]) first.registry.register(entryOf(n));
  for (const n of [3, 4, 1]) first.registry.bar(idOf(n));
  first.registry.bar(idOf(3));
  const expected = [{ id: idOf(3), name: "p3" }, { id: idOf(4) }, { id: idOf(1), name: "p1" }];
  assertEquals(readBarred(lives.path), expected);
  const second = lives.begin();
  assertEquals(second.registry.barred(), expected.map(({ id }) => id));
  assertEquals(listed(second), ["p2 away"]);
  second.registry.restore(idOf(3));
  second.store[Symbol.dispose]();
  const third = lives.begin();
  third.registry.restore(idOf(4));
  assertEquals(
    third.store.peers().map(({ id }) => id),
    [idOf(2), idOf(1)],
    "nothing is left of it",
  );
  assertEquals(lives.begin().registry.barred(), [idOf(1)]);
});

permitted("thousands who have left are forgotten in the file as well", NEEDS, async () => {
  await using lives = await Lives.create();
  const { registry } = lives.begin();
  for (let n = 1; n <= 10_001; n++) {
    registry.register(entryOf(n));
    registry.unregister(idOf(n));
  }
  assertEquals(lives.begin().store.peers(), []);
});

permitted("shares and their ledgers come back, as lost until somebody reports", NEEDS, async () => {
  await using lives = await Lives.create();
  const report = (share: string, more: Partial<MessageOf<"REPORT">> = {}) => ({
    ...{ verb: "REPORT" as const, seq: 1, share, name: "a.bin", size: 5, total: 2 },
    ...{ at: "2026-01-01T00:00:00Z", recipients: [], ...more },
  });
  const anna = { id: idOf(2), name: "anna", state: "accepted" as const };
  const away = { name: "bob", state: "failed" as const };
  const first = lives.begin();
  first.shares.take(idOf(1), report("done", { over: true, recipients: [away] }));
  lives.clock.advance(HOUR / 2);
  first.shares.take(idOf(1), report("on", { recipients: [anna] }));
  first.shares.take(idOf(1), report("on", { recipients: [{ ...anna, state: "delivered" }] }));
  const name = (id: string) => id === idOf(1) ? "host" : undefined;
  const second = lives.begin();
  const short = () =>
    second.shares.list(PAGE, name).shares.map(({ share, state, delivered, failed, sender }) =>
      [share, state, delivered, failed, sender].join(" ")
    );
  assertEquals(short(), ["on lost 1 0 host", "done over 0 1 host"]);
  const find = { from: idOf(1), share: "on", ...PAGE };
  assertEquals(second.shares.find(find, name).recipients, [{ ...anna, state: "delivered" }]);
  second.shares.take(idOf(1), report("done", { recipients: [anna] }));
  lives.clock.advance(HOUR / 2 + 1);
  // Whoever was away is told of again; what nobody has reported for an hour is forgotten.
  assertEquals(short(), ["done running 0 0 host", "on lost 1 0 host"].toReversed());
  lives.clock.advance(HOUR);
  assertEquals(short(), ["done running 0 0 host"]);
  const left = lives.begin().store.shares();
  assertEquals(left.map(({ key, recipients }) => [key, recipients]), [
    [[idOf(1), "done"], [[idOf(2), anna]]],
  ]);
});

permitted("who was convicted stays so, and the oldest are forgotten", NEEDS, async () => {
  await using lives = await Lives.create();
  const evidence = (n: number): Evidence => ({
    transfer: "t".repeat(22),
    sharer: idOf(0),
    server: idOf(n),
    block: 1,
    index: 256,
    hashes: new Uint8Array(64).fill(n),
    blockSignature: "b",
    entries: new Uint8Array(68).fill(n),
    servedSignature: "s",
  });
  const { convictions } = lives.begin();
  for (let n = 1; n <= 257; n++) convictions.add(evidence(n));
  const second = lives.begin();
  assertEquals([1, 2, 257].map((n) => second.convictions.has(idOf(n))), [false, true, true]);
  assertEquals(second.store.evidence().at(-1), evidence(257));
  assertEquals(second.store.evidence().length, 256);
});

permitted("every older schema is brought to the one of today", NEEDS, async () => {
  for (let n = 0; n <= MIGRATIONS.length; n++) {
    await using lives = await Lives.create();
    lives.begin().store[Symbol.dispose]();
    await Deno.remove(lives.path);
    if (n > 0) {
      const db = new DatabaseSync(lives.path);
      for (const sql of MIGRATIONS.slice(0, n).flat()) db.exec(sql);
      db.exec(`PRAGMA application_id = ${0x70327074}; PRAGMA user_version = ${n}`);
      db.exec("INSERT INTO peers VALUES ('x', 1, NULL, '[\"x\"]', NULL, NULL)");
      db.close();
    }
    const { store } = lives.begin();
    assertEquals(store.peers().length, n > 0 ? 1 : 0);
    store[Symbol.dispose]();
    const db = new DatabaseSync(lives.path);
    const version = Object.values(db.prepare("PRAGMA user_version").get() ?? {});
    db.close();
    assertEquals(version, [MIGRATIONS.length]);
  }
});

/** What may lie where the registry should be, and what is said of it. */
const FOREIGN: Record<string, { spoil: (path: string) => void; said: string }> = {
  "of a newer version": {
    spoil: (path) => change(path, `PRAGMA user_version = ${MIGRATIONS.length + 1}`),
    said: "update this program",
  },
  "of another program": {
    spoil: (path) => change(path, "PRAGMA application_id = 7"),
    said: "another program",
  },
  "no database": {
    spoil: (path) => Deno.writeTextFileSync(path, "[]\n".repeat(1000)),
    said: "it is no database",
  },
  "damaged": {
    spoil(path) {
      const bytes = Deno.readFileSync(path);
      bytes.fill(0xff, 4096);
      Deno.writeFileSync(path, bytes);
    },
    said: "it is damaged",
  },
  "cut off": {
    spoil: (path) => Deno.truncateSync(path, 5000),
    said: "it is damaged",
  },
};

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

for (const [what, { spoil, said }] of Object.entries(FOREIGN)) {
  permitted(`a file that is ${what} is refused and left as it is`, NEEDS, async () => {
    await using lives = await Lives.create();
    const { registry, store } = lives.begin();
    for (let n = 0; n < 100; n++) registry.register(entryOf(n));
    store[Symbol.dispose]();
    spoil(lives.path);
    const before = await Deno.readFile(lives.path);
    for (const open of [() => lives.begin(), () => readBarred(lives.path)]) {
      let thrown: unknown;
      try {
        open();
      } catch (error) {
        thrown = error;
      }
      assert(thrown instanceof P2PError);
      assertEquals(thrown.code, "disk");
      assertStringIncludes(thrown.message, lives.path);
      assertStringIncludes(thrown.message, said);
    }
    assertEquals(await Deno.readFile(lives.path), before);
  });
}

permitted("what cannot be written is said once, and written once it can be", NEEDS, async () => {
  await using lives = await Lives.create();
  const { registry } = lives.begin();
  registry.register(entryOf(1));
  const other = new DatabaseSync(lives.path);
  other.exec("BEGIN EXCLUSIVE");
  registry.register(entryOf(2));
  registry.register(entryOf(3));
  registry.unregister(idOf(1));
  let thrown: unknown;
  try {
    registry.bar(idOf(3));
  } catch (error) {
    thrown = error;
  }
  assertEquals(thrown instanceof P2PError && thrown.code, "disk");
  assertEquals(registry.isBarred(idOf(3)), true);
  lives.clock.advance(5000);
  assertEquals(lives.notices.length, 1);
  assertStringIncludes(lives.notices[0] ?? "", "another program uses it; check its disk");
  other.exec("COMMIT");
  other.close();
  lives.clock.advance(5000);
  assertEquals(lives.notices.length, 2);
  assertStringIncludes(lives.notices[1] ?? "", "again");
  const second = lives.begin();
  assertEquals([listed(second), second.registry.barred()], [["p2 away"], [idOf(3)]]);
  assertEquals(lives.clock.pending, []);
});

permitted("nobody else on the machine can read it", NEEDS, async () => {
  await using lives = await Lives.create();
  lives.begin().registry.register(entryOf(1));
  if (Deno.build.os === "windows") return;
  for (const suffix of ["", "-wal", "-shm"]) {
    const { mode } = await Deno.stat(lives.path + suffix);
    assertEquals((mode ?? 0) & 0o777, 0o600, suffix);
  }
});
