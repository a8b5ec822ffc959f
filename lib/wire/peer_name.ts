/**
 * The names that peers go by. People type them after `--to` and `@`, so nothing in them may mean
 * something else there or look like another name.
 *
 * @module
 */

import { INVISIBLE } from "../unicode.ts";

/** Longest peer name in characters (code points). */
export const MAX_PEER_NAME = 64;

/** Names that mean something else, in any case: every peer, and whoever runs the tracker. */
const RESERVED: ReadonlySet<string> = new Set(["all", "tracker"]);

/** Whitespace, the separators of recipients and addresses, controls, and what is invisible. */
const FORBIDDEN = new RegExp(String.raw`[\s,@:/\\\p{Cc}\p{Cs}]|${INVISIBLE.source}`, "u");
const EACH_FORBIDDEN = new RegExp(FORBIDDEN.source, "gu");

/** A dash would read as a flag; a combining mark would join what is printed before it. */
const BAD_START = /^[-\p{M}]+/u;

/** An id in full: where a peer has no name its id stands in the name's place. */
const ID_SHAPED = /^[\w-]{43}$/;

/** Whether a peer may go by this name. */
export function isPeerName(name: string): boolean {
  return name.length > 0 && !ID_SHAPED.test(name) && name.length <= 2 * MAX_PEER_NAME &&
    [...name].length <= MAX_PEER_NAME &&
    !FORBIDDEN.test(name) && !BAD_START.test(name) && !RESERVED.has(peerNameKey(name)) &&
    name === name.normalize("NFC");
}

/** Key that names which look the same to people have in common: two peers must not share one. */
export function peerNameKey(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}

/** The peer name that a machine's host name gives; `peer` when nothing of it can be used. */
export function defaultPeerName(hostName: string): string {
  const allowed = hostName.normalize("NFC").trim().replace(EACH_FORBIDDEN, "-").replace(
    BAD_START,
    "",
  );
  const name = [...allowed].slice(0, MAX_PEER_NAME).join("");
  return isPeerName(name) ? name : "peer";
}

/** The name of the `n`th peer that asks for `name`: the name itself for the first, then `name-2`. */
export function numberedPeerName(name: string, n: number): string {
  if (n < 2) return name;
  const end = `-${n}`;
  return [...name].slice(0, MAX_PEER_NAME - end.length).join("") + end;
}

/** Whether a name is what {@linkcode numberedPeerName} makes of `wanted`, for some number. */
export function isNumberedPeerName(name: string, wanted: string): boolean {
  const number = /-([1-9]\d{0,8})$/.exec(name)?.[1];
  return name === wanted || (number !== undefined && name === numberedPeerName(wanted, +number));
}
