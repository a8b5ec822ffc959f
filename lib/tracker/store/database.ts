/**
 * The file that a tracker remembers in: SQLite, in WAL mode, so that what is written survives the death of the process,
 * and others can read while it runs.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { FOLDER_MODE } from "../../disk/private_file.ts";
import { P2PError, reasonOf } from "../../errors.ts";

/** In the header of the file (`PRAGMA application_id`): "p2pt". */
const APPLICATION = 0x70_32_70_74;

/**
 * What makes a file of schema n one of schema n + 1, from an empty one on. What has been released is never changed: a new
 * schema is a new line.
 */
export const MIGRATIONS: readonly (readonly string[])[] = [[
  // `changed` orders peers by their last change. A peer that has left has no entry; `barred` orders those who are.
  `CREATE TABLE peers (
    id TEXT PRIMARY KEY,
    changed INTEGER NOT NULL,
    entry TEXT,
    names TEXT NOT NULL,
    barred INTEGER,
    barred_name TEXT
  ) STRICT`,
  "CREATE INDEX peers_changed ON peers (changed)",
  "CREATE INDEX peers_barred ON peers (barred) WHERE barred IS NOT NULL",
  // Times are milliseconds since 1970.
  `CREATE TABLE shares (
    reporter TEXT NOT NULL,
    share TEXT NOT NULL,
    about TEXT NOT NULL,
    state TEXT NOT NULL,
    heard_at INTEGER NOT NULL,
    PRIMARY KEY (reporter, share)
  ) STRICT`,
  `CREATE TABLE recipients (
    reporter TEXT NOT NULL,
    share TEXT NOT NULL,
    recipient TEXT NOT NULL,
    about TEXT NOT NULL,
    PRIMARY KEY (reporter, share, recipient),
    FOREIGN KEY (reporter, share) REFERENCES shares ON DELETE CASCADE
  ) STRICT`,
  `CREATE TABLE evidence (
    server TEXT PRIMARY KEY,
    message TEXT NOT NULL,
    body BLOB NOT NULL
  ) STRICT`,
]];

/** Primary result codes of SQLite (sqlite.org/rescode.html), in our words. */
const REASONS: Readonly<Record<number, string>> = {
  3: "permission denied",
  5: "another program uses it",
  6: "another program uses it",
  8: "it cannot be written to",
  10: "the disk failed",
  11: "it is damaged",
  13: "the disk is full",
  14: "it cannot be opened",
  15: "its disk has no locks",
  26: "it is no database",
};
/** Of those, the codes of a file that holds something else than it should. */
const DAMAGED = new Set([11, 26]);

/** Why a file that is there must be left alone. */
class Unusable extends Error {}

/**
 * Opens the file, which is made when it is missing, and brings it to the schema of today.
 *
 * @throws {P2PError} `disk` when what is there is damaged, of a newer version or of another program, which is left as it
 * is; any other error when it cannot be written to now.
 */
export function openDatabase(path: string): DatabaseSync {
  if (path !== ":memory:") make(path);
  return checked(path, () => {
    const db = new DatabaseSync(path, { timeout: 1000 });
    try {
      expectOurs(db);
      run(db, "PRAGMA journal_mode = WAL");
      run(db, "PRAGMA synchronous = NORMAL");
      run(db, "PRAGMA foreign_keys = ON");
      migrate(db);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/**
 * What `read` finds in a file, whatever else uses it; null when there is none. On a full or a read-only disk it is read
 * from a copy, since SQLite opens a file of this kind only where it can write beside it.
 *
 * @throws {P2PError} `disk` when it cannot be read, or must not be used: see {@linkcode openDatabase}.
 */
export function readDatabase<T>(path: string, read: (db: DatabaseSync) => T): T | null {
  try {
    if (!isThere(path)) return null;
    return readInPlace(path, read);
  } catch (error) {
    if (!isPassing(error)) throw error;
  }
  return readCopy(path, read);
}

/** Reads the file itself: what a tracker writes meanwhile is there, whole, or is not. */
function readInPlace<T>(path: string, read: (db: DatabaseSync) => T): T {
  return checked(path, () => {
    const db = new DatabaseSync(path, { readOnly: true, timeout: 1000 });
    try {
      expectOurs(db);
      return read(db);
    } finally {
      db.close();
    }
  });
}

function readCopy<T>(path: string, read: (db: DatabaseSync) => T): T {
  let folder: string | undefined;
  try {
    folder = Deno.makeTempDirSync({ prefix: "p2p-" });
    const copy = join(folder, basename(path));
    for (const suffix of ["", "-wal"]) {
      if (isThere(path + suffix)) Deno.copyFileSync(path + suffix, copy + suffix);
    }
    const db = openDatabase(copy);
    try {
      return read(db);
    } finally {
      db.close();
    }
  } catch (error) {
    // The copy is nobody's business.
    const { message } = asDiskError("read", path, error);
    throw new P2PError("disk", folder ? message.replaceAll(folder, dirname(path)) : message, {
      cause: error,
    });
  } finally {
    if (folder) Deno.removeSync(folder, { recursive: true });
  }
}

/** What all of it is in one transaction, or none. With `durable` it outlives a power cut as well. */
export function transact(db: DatabaseSync, durable: boolean, write: () => void): void {
  if (durable) run(db, "PRAGMA synchronous = FULL");
  try {
    run(db, "BEGIN IMMEDIATE");
    write();
    run(db, "COMMIT");
  } catch (error) {
    // SQLite has done so itself after some errors.
    if (db.isTransaction) run(db, "ROLLBACK");
    throw error;
  } finally {
    if (durable) run(db, "PRAGMA synchronous = NORMAL");
  }
}

/** A failure of the file as people hear it. */
export function asDiskError(doing: string, path: string, error: unknown): P2PError {
  if (error instanceof P2PError) return error;
  const remedy = "check its disk, owner and mode, or choose --state";
  return new P2PError("disk", `Cannot ${doing} ${path}: ${reasonIn(error)}; ${remedy}`, {
    cause: error,
  });
}

/** Whether an error of {@linkcode openDatabase} means that the file cannot be written to now, and may be read all the same. */
export function isPassing(error: unknown): boolean {
  return !(error instanceof P2PError);
}

/** Every statement is prepared: the errors of `exec` have no code. */
function run(db: DatabaseSync, sql: string): void {
  db.prepare(sql).all();
}

/** What `open` returns; where the file is not ours to use that is said, with the remedy. */
function checked<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const code = codeOf(error);
    if (!(error instanceof Unusable) && (code === undefined || !DAMAGED.has(code))) throw error;
    const why = error instanceof Unusable ? error.message : reasonIn(error);
    throw new P2PError(
      "disk",
      `Cannot use ${path}: ${why}; put back a copy of it, or move it away with ${
        basename(path)
      }-wal to start without what it remembers, which includes who was removed`,
      { cause: error },
    );
  }
}

function expectOurs(db: DatabaseSync): void {
  const [tables, application, version] = [
    valueOf(db, "SELECT count(*) AS n FROM sqlite_schema", "n"),
    valueOf(db, "PRAGMA application_id", "application_id"),
    valueOf(db, "PRAGMA user_version", "user_version"),
  ];
  if (tables === 0 && version === 0) return;
  if (application !== APPLICATION) throw new Unusable("it is a database of another program");
  if (Number(version) > MIGRATIONS.length) {
    throw new Unusable(
      `it is of a newer version (schema ${version}; this program knows ${MIGRATIONS.length}); ` +
        "update this program",
    );
  }
  const found = valueOf(db, "PRAGMA quick_check(1)", "quick_check");
  if (found !== "ok") throw new Unusable("it is damaged");
}

function migrate(db: DatabaseSync): void {
  const version = Number(valueOf(db, "PRAGMA user_version", "user_version"));
  for (const [n, statements] of MIGRATIONS.entries()) {
    if (n < version) continue;
    transact(db, true, () => {
      for (const sql of statements) run(db, sql);
      run(db, `PRAGMA application_id = ${APPLICATION}`);
      run(db, `PRAGMA user_version = ${n + 1}`);
    });
  }
}

function valueOf(db: DatabaseSync, sql: string, column: string): unknown {
  return (db.prepare(sql).get() as Record<string, unknown> | undefined)?.[column];
}

/** Makes the file for its owner alone: SQLite gives those beside it the same mode. */
function make(path: string): void {
  Deno.mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function reasonIn(error: unknown): string {
  const code = codeOf(error);
  if (code !== undefined) return REASONS[code] ?? `SQLite says ${code}`;
  const { message } = error as { message?: unknown };
  // A file that cannot be opened has no code in Deno.
  if (`${message}`.startsWith("unable to open database file")) return REASONS[14] as string;
  return reasonOf(error);
}

/** The primary result code of an error of SQLite. */
function codeOf(error: unknown): number | undefined {
  const { errcode } = (error ?? {}) as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : undefined;
}
