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

type Prepare = (sql: string) => StatementSync;
type Row = Record<string, string | number | null | Uint8Array>;

/** A {@linkcode TrackerStore} in a file, or in memory alone with the path `:memory:`. */
export class SqliteStore implements TrackerStore, Disposable {
  readonly #path: string;
  readonly #notice: (message: string) => void;
  readonly #clock: Clock;
  readonly #statements = new Map<string, StatementSync>();
  readonly #waiting: Waiting[] = [];
  /** Undefined while it cannot be opened for writing. */
  #db: DatabaseSync | undefined;
  /** Why nothing could be written last; a try to do so is due then. */
  #failing: { error: P2PError; retry: () => void } | undefined;

  /** @throws {P2PError} `disk` when what is there cannot be read, or must not be used: see {@linkcode openDatabase}. */
  constructor(path: string, { notice, clock = systemClock }: SqliteStoreOptions) {
    this.#path = path;
    this.#notice = notice;
    this.#clock = clock;
    try {
      this.#db = openDatabase(path);
    } catch (error) {
      if (!isPassing(error)) throw error;
      // What cannot be read either is not to be taken for nothing.
      readDatabase(path, () => {});
      this.#fail(error);
    }
  }

  get isWritable(): boolean {
    return this.#failing === undefined;
  }

  peers(): RememberedPeer[] {
    return this.#read(readPeers) ?? [];
  }

  barred(): Barred[] {
    return this.#read(readBarredIn) ?? [];
  }

  shares(): ReturnType<TrackerStore["shares"]> {
    return this.#read(readShares) ?? [];
  }

  evidence(): Evidence[] {
    return this.#read(readEvidence) ?? [];
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
        if (changed.length === 0) return;
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

  /** What is in the file; null where there is none, and it cannot be made now. */
  #read<T>(read: (db: DatabaseSync) => T): T | null {
    try {
      return this.#db ? read(this.#db) : readDatabase(this.#path, read);
    } catch (error) {
      throw asDiskError("read", this.#path, error);
    }
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
  return readDatabase(path, readBarredIn) ?? [];
}

function rowsOf(db: DatabaseSync, sql: string): Row[] {
  return db.prepare(sql).all() as Row[];
}

function readPeers(db: DatabaseSync): RememberedPeer[] {
  return rowsOf(db, "SELECT * FROM peers ORDER BY changed").map((row) => ({
    id: String(row.id),
    entry: row.entry === null ? null : JSON.parse(String(row.entry)),
    names: JSON.parse(String(row.names)),
    ...(row.barred === null ? {} : { barred: barOf(row) }),
  }));
}

function readBarredIn(db: DatabaseSync): Barred[] {
  return rowsOf(db, "SELECT * FROM peers WHERE barred IS NOT NULL ORDER BY barred")
    .map((row) => ({ id: String(row.id), ...barOf(row) }));
}

function readShares(db: DatabaseSync): ReturnType<TrackerStore["shares"]> {
  const recipients = db.prepare(
    "SELECT recipient, about FROM recipients WHERE reporter = ? AND share = ? ORDER BY rowid",
  );
  return rowsOf(db, "SELECT * FROM shares ORDER BY rowid").map((row) => {
    const key = [String(row.reporter), String(row.share)] as const;
    const about = JSON.parse(String(row.about));
    const state = row.state as RememberedShare["state"];
    return {
      key,
      share: { about, state, heardAt: Number(row.heard_at) },
      recipients: (recipients.all(...key) as Row[]).map((
        { recipient, about },
      ): [string, ReportedRecipient] => [String(recipient), JSON.parse(String(about))]),
    };
  });
}

function readEvidence(db: DatabaseSync): Evidence[] {
  return rowsOf(db, "SELECT * FROM evidence ORDER BY rowid").map(({ message, body }) =>
    decodeEvidence(JSON.parse(String(message)), body as Uint8Array)
  );
}

function barOf({ barred_name: name = null }: Row): { name?: string } {
  return name === null ? {} : { name: String(name) };
}
