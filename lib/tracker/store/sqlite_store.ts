import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type Clock, systemClock } from "../../async/clock.ts";
import type { P2PError } from "../../errors.ts";
import { decodeEvidence, encodeEvidence } from "../../identity/evidence_frame.ts";
import type { Evidence } from "../../identity/evidence.ts";
import type { ReportedRecipient } from "../../wire/message.ts";
import { asDiskError, isPassing, openDatabase, readDatabase, transact } from "./database.ts";
import type { Barred } from "../registry/registry.ts";
import type {
  Kept,
  RecipientKey,
  RememberedPeer,
  RememberedShare,
  ShareKey,
  TrackerStore,
} from "./tracker_store.ts";

/** Settings of a {@linkcode SqliteStore}. */
export interface SqliteStoreOptions {
  /** Hears when nothing can be written any more, and when it can again. */
  notice: (message: string) => void;
  clock?: Clock;
}

/** Milliseconds between two tries to write what could not be written. */
const RETRY_EVERY = 5_000;

/** What one table remembers, and how it is written. */
interface Table<K, V> {
  /** Tells keys apart. */
  nameOf(key: K): string;
  stateOf(key: K): V | null;
  put(prepare: Prepare, key: K, state: V): void;
  remove(prepare: Prepare, key: K): void;
}

/** Keys of one table whose state is to be written. */
interface Waiting {
  write(prepare: Prepare): void;
  clear(): void;
}

/** All that was there when the file was opened. */
interface Found {
  peers: RememberedPeer[];
  barred: Barred[];
  shares: ReturnType<TrackerStore["shares"]>;
  evidence: Evidence[];
}

const NOTHING: Found = { peers: [], barred: [], shares: [], evidence: [] };

type Prepare = (sql: string) => StatementSync;
type Row = Record<string, string | number | null | Uint8Array>;

/** A {@linkcode TrackerStore} in a file, or in memory alone with the path `:memory:`. */
export class SqliteStore implements TrackerStore, Disposable {
  readonly #path: string;
  readonly #notice: (message: string) => void;
  readonly #clock: Clock;
  readonly #found: Found;
  readonly #statements = new Map<string, StatementSync>();
  readonly #waiting: Waiting[] = [];
  /** Undefined while it cannot be opened for writing. */
  #db: DatabaseSync | undefined;
  /** Why nothing could be written last; a try to do so is due then. */
  #failing: { error: P2PError; retry: () => void } | undefined;

  /**
   * Reads all that is there.
   *
   * @throws {P2PError} `disk` when that cannot be done, or must not: see {@linkcode openDatabase}.
   */
  constructor(path: string, { notice, clock = systemClock }: SqliteStoreOptions) {
    this.#path = path;
    this.#notice = notice;
    this.#clock = clock;
    try {
      this.#db = openDatabase(path);
      this.#found = readAll(this.#db);
    } catch (error) {
      this.#db?.close();
      if (!isPassing(error)) throw error;
      this.#found = readDatabase(path, readAll) ?? NOTHING;
      this.#fail(error);
    }
  }

  get isWritable(): boolean {
    return this.#failing === undefined;
  }

  peers(): RememberedPeer[] {
    return this.#found.peers;
  }

  barred(): Barred[] {
    return this.#found.barred;
  }

  shares(): ReturnType<TrackerStore["shares"]> {
    return this.#found.shares;
  }

  evidence(): Evidence[] {
    return this.#found.evidence;
  }

  keepPeers(stateOf: (id: string) => RememberedPeer | null): Kept<string> {
    return this.#keep<string, RememberedPeer>({
      nameOf: (id) => id,
      stateOf,
      put(prepare, id, { entry, names, barred }) {
        // Barred when it was already: its place among the barred stays.
        prepare(
          `INSERT INTO peers (id, changed, entry, names, barred, barred_name)
           VALUES (?1, (SELECT ifnull(max(changed), 0) + 1 FROM peers), ?2, ?3,
                   iif(?4, (SELECT ifnull(max(barred), 0) + 1 FROM peers), NULL), ?5)
           ON CONFLICT (id) DO UPDATE SET
             changed = excluded.changed, entry = excluded.entry, names = excluded.names,
             barred = iif(?4, ifnull(barred, excluded.barred), NULL), barred_name = excluded.barred_name`,
        ).run(
          id,
          entry && JSON.stringify(entry),
          JSON.stringify(names),
          barred ? 1 : 0,
          barred?.name ?? null,
        );
      },
      remove: (prepare, id) => void prepare("DELETE FROM peers WHERE id = ?").run(id),
    });
  }

  keepShares(stateOf: (key: ShareKey) => RememberedShare | null): Kept<ShareKey> {
    return this.#keep<ShareKey, RememberedShare>({
      nameOf: (key) => key.join(" "),
      stateOf,
      put: (prepare, key, { about, state, heardAt }) =>
        void prepare(
          `INSERT INTO shares (reporter, share, about, state, heard_at) VALUES (?1, ?2, ?3, ?4, ?5)
           ON CONFLICT (reporter, share)
           DO UPDATE SET about = excluded.about, state = excluded.state, heard_at = excluded.heard_at`,
        ).run(...key, JSON.stringify(about), state, heardAt),
      remove: (prepare, key) =>
        void prepare("DELETE FROM shares WHERE reporter = ? AND share = ?").run(...key),
    });
  }

  keepRecipients(
    stateOf: (key: RecipientKey) => ReportedRecipient | null,
  ): Kept<RecipientKey> {
    return this.#keep<RecipientKey, ReportedRecipient>({
      nameOf: (key) => key.join(" "),
      stateOf,
      put: (prepare, key, about) =>
        void prepare(
          `INSERT INTO recipients (reporter, share, recipient, about) VALUES (?1, ?2, ?3, ?4)
           ON CONFLICT (reporter, share, recipient) DO UPDATE SET about = excluded.about`,
        ).run(...key, JSON.stringify(about)),
      remove: (prepare, key) =>
        void prepare("DELETE FROM recipients WHERE reporter = ? AND share = ? AND recipient = ?")
          .run(...key),
    });
  }

  keepEvidence(stateOf: (server: string) => Evidence | null): Kept<string> {
    return this.#keep<string, Evidence>({
      nameOf: (server) => server,
      stateOf,
      put(prepare, server, evidence) {
        const { message, body } = encodeEvidence(evidence);
        prepare("INSERT OR REPLACE INTO evidence (server, message, body) VALUES (?, ?, ?)")
          .run(server, JSON.stringify(message), body);
      },
      remove: (prepare, server) =>
        void prepare("DELETE FROM evidence WHERE server = ?").run(server),
    });
  }

  /** Writes what waits, if that is possible, and closes the file. */
  [Symbol.dispose](): void {
    if (this.#failing) this.#writeAll();
    this.#failing?.retry();
    this.#statements.clear();
    this.#db?.close();
    this.#db = undefined;
  }

  #keep<K, V>({ nameOf, stateOf, put, remove }: Table<K, V>): Kept<K> {
    const keys = new Map<string, K>();
    const waiting: Waiting = {
      write(prepare) {
        for (const key of keys.values()) {
          const state = stateOf(key);
          if (state === null) remove(prepare, key);
          else put(prepare, key, state);
        }
      },
      clear: () => keys.clear(),
    };
    this.#waiting.push(waiting);
    return {
      changed: (...changed) => {
        for (const key of changed) keys.set(nameOf(key), key);
        // A disk that fails is tried from time to time, and not for each change.
        if (!this.#failing) this.#write(waiting);
      },
      expectKept: (key) => {
        keys.set(nameOf(key), key);
        this.#write(waiting, true);
        if (this.#failing) throw this.#failing.error;
      },
    };
  }

  /** Writes what waits of one table; what cannot be written waits on. */
  #write(waiting: Waiting, durable = false): void {
    try {
      const db = this.#db ??= openDatabase(this.#path);
      transact(db, durable, () => waiting.write((sql) => this.#prepare(db, sql)));
      waiting.clear();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!this.#failing) return;
    this.#failing.retry();
    this.#failing = undefined;
    this.#writeAll();
    if (this.#failing) return;
    this.#notice(`What this tracker has to remember is kept in ${this.#path} again`);
  }

  #writeAll(): void {
    for (const waiting of this.#waiting) this.#write(waiting);
  }

  #fail(cause: unknown): void {
    const error = asDiskError("write to", this.#path, cause);
    this.#failing?.retry();
    if (!this.#failing) {
      this.#notice(
        `${error.message}; this tracker runs on, and a restart forgets what happens until that is mended`,
      );
    }
    this.#failing = { error, retry: this.#clock.after(RETRY_EVERY, () => this.#writeAll()) };
  }

  #prepare(db: DatabaseSync, sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = db.prepare(sql));
    return statement;
  }
}

/** Who is barred by the file at a path, the latest last; nobody when there is none. Needs no running tracker. */
export function readBarred(path: string): Barred[] {
  return readDatabase(path, readAll)?.barred ?? [];
}

/**
 * Lets one who is barred by the file at a path register again; no tracker runs with it.
 *
 * @throws {P2PError} `disk` when that cannot be written.
 */
export function forgetBarred(path: string, id: string): void {
  try {
    const db = openDatabase(path);
    try {
      transact(db, true, () => {
        db.prepare("UPDATE peers SET barred = NULL, barred_name = NULL WHERE id = ?").run(id);
        db.prepare("DELETE FROM peers WHERE id = ? AND entry IS NULL AND names = '[]'").run(id);
      });
    } finally {
      db.close();
    }
  } catch (error) {
    throw asDiskError("write to", path, error);
  }
}

function readAll(db: DatabaseSync): Found {
  const rows = (sql: string) => db.prepare(sql).all() as Row[];
  const peers = rows("SELECT * FROM peers ORDER BY changed").map((row) => ({
    id: String(row.id),
    entry: row.entry === null ? null : JSON.parse(String(row.entry)),
    names: JSON.parse(String(row.names)),
    ...(row.barred === null ? {} : { barred: barOf(row) }),
  }));
  const barred = rows("SELECT * FROM peers WHERE barred IS NOT NULL ORDER BY barred")
    .map((row) => ({ id: String(row.id), ...barOf(row) }));
  const recipients = db.prepare(
    "SELECT recipient, about FROM recipients WHERE reporter = ? AND share = ? ORDER BY rowid",
  );
  const shares = rows("SELECT * FROM shares ORDER BY rowid").map((row) => {
    const key = [String(row.reporter), String(row.share)] as const;
    const about = JSON.parse(String(row.about));
    const state = row.state as RememberedShare["state"];
    return {
      key,
      share: { about, state, heardAt: Number(row.heard_at) },
      recipients: (recipients.all(...key) as Row[]).map((
        row,
      ): [string, ReportedRecipient] => [String(row.recipient), JSON.parse(String(row.about))]),
    };
  });
  const evidence = rows("SELECT * FROM evidence ORDER BY rowid").map(({ message, body }) =>
    decodeEvidence(JSON.parse(String(message)), body as Uint8Array)
  );
  return { peers, barred, shares, evidence };
}

function barOf({ barred_name: name = null }: Row): { name?: string } {
  return name === null ? {} : { name: String(name) };
}
