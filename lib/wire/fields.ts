import { areGroups, MAX_GROUPS } from "./group_name.ts";
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";

/** A half-open range of piece indices, `[start, end)`. */
export type Range = [start: number, end: number];

const encoder = new TextEncoder();

/**
 * Reads untrusted JSON fields one by one: each getter returns a value of the type it names or throws
 * `malformed` with the verb, the field and what it should have been. Fields that nobody asks for are
 * ignored, so that later versions may add some.
 */
export class Fields {
  readonly #verb: string;
  readonly #values: Record<string, unknown>;

  constructor(verb: string, values: Record<string, unknown>) {
    this.#verb = verb;
    this.#values = values;
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  #fail(name: string, expected: string): never {
    throw new P2PError("malformed", `Cannot read ${this.#verb}: "${name}" is not ${expected}`);
  }

  /** Whether the field is there and not null. */
  has(name: string): boolean {
    const value = this.#get(name);
    return value !== undefined && value !== null;
  }

  /** The getter's value when the field is there, else `undefined`. */
  optional<T>(name: string, get: (name: string) => T): T | undefined {
    return this.has(name) ? get(name) : undefined;
  }

  /** A string of 1 to `max` bytes of UTF-8 without lone surrogates. */
  string(name: string, max: number): string {
    const value = this.#get(name);
    if (
      typeof value !== "string" || value.length === 0 || !value.isWellFormed() ||
      value.length > max || encoder.encode(value).length > max
    ) {
      this.#fail(name, `a string of 1 to ${max} bytes`);
    }
    return value;
  }

  /** One of the given strings. */
  oneOf<T extends string>(name: string, choices: readonly T[]): T {
    const value = this.#get(name);
    const found = choices.find((choice) => choice === value);
    if (found === undefined) this.#fail(name, `one of ${choices.join(", ")}`);
    return found;
  }

  /** A safe integer from `min` to `max`, both included. */
  integer(name: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#get(name);
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      this.#fail(name, `an integer from ${min} to ${max}`);
    }
    return value as number;
  }

  /** `true` or `false`. */
  boolean(name: string): boolean {
    const value = this.#get(name);
    if (typeof value !== "boolean") this.#fail(name, "true or false");
    return value;
  }

  /** The canonical base64url text, without padding, of exactly `length` bytes. */
  bytes(name: string, length: number): string {
    const value = this.#get(name);
    if (!isBase64Url(value, length)) this.#fail(name, `${length} bytes in base64url`);
    return value;
  }

  /** At most `max` elements, each a nested object read by `read`. */
  objects<T>(name: string, max: number, read: (fields: Fields) => T): T[] {
    const value = this.#get(name);
    if (!Array.isArray(value) || value.length > max) {
      this.#fail(name, `an array of at most ${max} objects`);
    }
    return value.map((element) => {
      if (typeof element !== "object" || element === null || Array.isArray(element)) {
        this.#fail(name, "an array of objects");
      }
      return read(new Fields(`${this.#verb} ${name}`, element as Record<string, unknown>));
    });
  }

  /** At most `max` texts, each the canonical base64url of `length` bytes. */
  byteStrings(name: string, max: number, length: number): string[] {
    const value = this.#get(name);
    if (
      !Array.isArray(value) || value.length > max || !value.every((v) => isBase64Url(v, length))
    ) {
      this.#fail(name, `an array of at most ${max} texts of ${length} bytes in base64url`);
    }
    return value;
  }

  /** The groups of a peer: see {@linkcode areGroups}. */
  groups(name: string): string[] {
    const value = this.#get(name);
    if (!areGroups(value)) {
      this.#fail(name, `an ascending array of at most ${MAX_GROUPS} names of groups`);
    }
    return value;
  }

  /** Ascending, disjoint, non-empty ranges of piece indices, at most `max` of them. */
  ranges(name: string, max: number, end: number): Range[] {
    const value = this.#get(name);
    const expected = `an array of at most ${max} ascending ranges [start, end) below ${end}`;
    if (!Array.isArray(value) || value.length > max) this.#fail(name, expected);
    let last = 0;
    return value.map((range) => {
      if (!Array.isArray(range) || range.length !== 2) this.#fail(name, expected);
      const [from, to] = range;
      if (
        !Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < last || to <= from ||
        to > end
      ) {
        this.#fail(name, expected);
      }
      last = to;
      return [from, to];
    });
  }
}

/** Whether `value` is the one base64url text of `length` bytes: no padding, no stray low bits. */
export function isBase64Url(value: unknown, length: number): value is string {
  if (typeof value !== "string" || value.length !== Math.ceil(length * 4 / 3)) return false;
  if (!/^[A-Za-z0-9_-]*$/.test(value)) return false;
  return encodeBase64Url(decodeBase64Url(value)) === value;
}
