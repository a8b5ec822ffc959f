/**
 * From the text of a flag to its value. What is said about a bad one names the flag or environment
 * variable it came from, the value, and what would do.
 *
 * @module
 */

import { P2PError } from "../../errors.ts";
import { escapeText } from "../output/escape.ts";
import { isIPv6 } from "../../address.ts";
import { type Address, type FlagSpec, type FlagValue, MAX_PORT } from "./spec.ts";

/** Seconds in one of each unit. */
const SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** A timer holds at most 2^31 - 1 ms. */
const MAX_SECONDS = 2 ** 31 / 1000 - 1;

/** Powers of 1024, from 0 on. */
const SIZE_UNITS = "BKMGTP";

/**
 * The value of `text`; `source` is where it came from, `--port` or `P2P_PORT`.
 *
 * @throws {P2PError} `usage`
 */
export function parseFlagValue(spec: FlagSpec, text: string, source: string): FlagValue {
  if (text.trim() === "") throw new P2PError("usage", `Cannot use ${source}: its value is empty`);
  const value = PARSERS[spec.kind](text, spec);
  if (!(value instanceof Problem)) return value;
  throw new P2PError("usage", `Cannot use ${source}: '${escapeText(text)}' is ${value.text}`);
}

/**
 * `host`, `host:port`, `[v6]:port` or a bare IPv6 address; `null` when it is none of them.
 *
 * @param lowest port; 0 where a free one may be asked for.
 */
export function parseAddress(text: string, lowest = 1): Address | null {
  if (isIPv6(text)) return { host: text, port: null };
  const match = /^(?:\[([^\]]+)\]|([^\s:/@\[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null || (match[1] !== undefined && !isIPv6(match[1]))) return null;
  const port = match[3] === undefined ? null : Number(match[3]);
  if (port !== null && (port < lowest || port > MAX_PORT)) return null;
  return { host: match[1] ?? match[2] ?? "", port };
}

/** Why a value will not do; completes "'x' is ...". */
class Problem {
  constructor(readonly text: string) {}
}

const PARSERS: Record<
  FlagSpec["kind"],
  (text: string, spec: FlagSpec) => FlagValue | Problem
> = {
  string: (text) => text,
  boolean: parseBoolean,
  integer: parseInteger,
  seconds: parseSeconds,
  address: (text, { min }) =>
    parseAddress(text, min) ??
      new Problem("not an address; write host:port, for example 192.168.1.7:5000"),
  size: parseSize,
};

function parseBoolean(text: string): boolean | Problem {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  return new Problem("neither true nor false; write 1 or 0");
}

function parseInteger(text: string, { min = 0, max }: FlagSpec): number | Problem {
  const value = Number(text);
  const range = max === undefined ? `of ${min} or more` : `from ${min} to ${max}`;
  const fits = /^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min &&
    value <= (max ?? Infinity);
  return fits ? value : new Problem(`not a whole number ${range}`);
}

function parseSeconds(text: string, { min }: FlagSpec): number | Problem {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const value = match === null ? NaN : Number(match[1]) * (SECONDS[match[2] ?? "s"] ?? NaN);
  if (value > MAX_SECONDS) return new Problem("too long; write 596h or less");
  if (value > 0 || value === min) return value;
  return new Problem("not a time; write seconds, for example 30, or 500ms, 2m, 1h");
}

function parseSize(text: string, { min = 0 }: FlagSpec): number | Problem {
  const match = /^(\d+(?:\.\d+)?)(?:([KMGTP])(?:i?B)?|B)?$/i.exec(text);
  const power = SIZE_UNITS.indexOf(match?.[2]?.toUpperCase() ?? "B");
  const value = match === null ? NaN : Math.floor(Number(match[1]) * 1024 ** power);
  if (Number.isSafeInteger(value)) {
    return value >= min ? value : new Problem(`too little; write ${min} or more`);
  }
  return new Problem("not a size; write bytes, or for example 500M or 10G");
}
