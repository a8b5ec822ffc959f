/**
 * Names that may be created in a folder of ours, made from names that somebody else chose. Pure.
 *
 * @module
 */

import { INVISIBLE } from "../unicode.ts";

/** Longest name in bytes of UTF-8: most file systems allow 255, the rest is for what we append. */
export const MAX_NAME_BYTES = 240;

/** Longest name in bytes that file systems keep, where nothing has to be appended to it. */
export const LONGEST_NAME = 255;

/** Longest extension in bytes, with its dot, that survives when a name has to be cut. */
const MAX_EXTENSION_BYTES = 32;

/** Controls, line separators, and what Windows forbids: each becomes `_`. */
const FORBIDDEN = /[\p{Cc}\p{Zl}\p{Zp}<>:"|?*]/gu;

/** The separator, controls, and marks of the bidirectional algorithm (Unicode, UAX #9): each becomes `_`. */
const HARMFUL = /[/\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Parts between backslashes that would lead out of a folder where those are separators. */
const LEADS_OUT = /^(?:\.{0,2}|[a-z]:)$/i;

/** The invisible goes without a trace. */
const EACH_INVISIBLE = new RegExp(INVISIBLE.source, "gu");

/** Names that Windows gives to devices, in every folder and with any extension. */
const DEVICE =
  /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9\xb9\xb2\xb3])\s*(?:\.|$)/i;

/** Names that stay as they are, unless they are long or a device: most of them. */
const PLAIN = /^[\w-]+(?:\.[\w-]+)*$/;

const EXTENSION = /(?:\.tar)?\.[^.\s]+$/i;

const encoder = new TextEncoder();
/** Splits names; made when the first one has to be cut: its tables take longer to load than most commands to start. */
let graphemes: Intl.Segmenter | undefined;

/**
 * Makes one safe file name of any string: the last usable component of a path in any notation, in NFC,
 * at most {@linkcode MAX_NAME_BYTES} long, visible, not hidden, not a device and without a character
 * that a file system or a terminal gives a meaning to. Never fails, and a safe name stays as it is.
 */
export function safeName(untrusted: string): string {
  if (isPlain(untrusted)) return untrusted;
  const components = untrusted.toWellFormed().split(/[/\\]/);
  for (const component of components.reverse()) {
    const name = component.replace(FORBIDDEN, "_").replace(EACH_INVISIBLE, "").normalize("NFC");
    const settled = settle(name);
    if (settled !== "") return settled;
  }
  return "unnamed";
}

/**
 * Makes one safe name of a component of a path inside a tree. As {@linkcode safeName}, but a name may begin
 * with a dot: below a folder of its own it hides nothing of ours.
 */
export function safeComponent(untrusted: string): string {
  const dots = /^\.(?=[^.])/.test(untrusted) ? "." : "";
  const safe = safeName(untrusted.slice(dots.length));
  return dots === "" || byteLength(safe) >= MAX_NAME_BYTES ? safe : dots + safe;
}

/**
 * Makes a safe name of a component where the file system keeps names as they are: as short as such a system takes them,
 * with `_` for the separator, controls, and marks that turn the direction of text around, and for backslashes that would
 * lead out where they separate. All else stays, also what Windows does not allow: a backslash as well, as it is in the
 * names of systemd's units. What is too long becomes a {@linkcode safeComponent}.
 */
export function legalComponent(untrusted: string): string {
  let name = untrusted.toWellFormed().replace(HARMFUL, "_");
  if (name.includes("\\") && name.split("\\").some((part) => LEADS_OUT.test(part))) {
    name = name.replaceAll("\\", "_");
  }
  const isLegal = name !== "" && name !== "." && name !== ".." && isShort(name);
  return isLegal ? name : safeComponent(untrusted);
}

function isShort(name: string): boolean {
  return name.length <= LONGEST_NAME / 3 || byteLength(name) <= LONGEST_NAME;
}

/**
 * The `n`th alternative to a safe name that is taken: `network (1).png` for 1, the name itself for 0.
 * Keeps the cap in bytes and the extension.
 */
export function numberedName(name: string, n: number): string {
  if (n === 0) return name;
  const [stem, extension] = splitExtension(name);
  const end = ` (${n})${extension}`;
  return trimEnd(cutTo(stem, MAX_NAME_BYTES - byteLength(end))) + end;
}

/** Whether a file system that ignores case or normalisation would take both names for one file. */
export function sameName(a: string, b: string): boolean {
  return nameKey(a) === nameKey(b);
}

/** Key that names of the same file have in common: the case-folded NFC form, for comparison only. */
export function nameKey(name: string): string {
  // There is no casefold in JavaScript. Lower, upper, lower also joins the capital sharp s to "ss".
  return name.normalize("NFC").toLowerCase().toUpperCase().toLowerCase().normalize("NFC");
}

/** Whether a name is safe at a glance. */
function isPlain(name: string): boolean {
  return name.length <= MAX_NAME_BYTES && PLAIN.test(name) && !DEVICE.test(name);
}

/** Applies the rules about the start and the end of a name until nothing changes: each may call for another. */
function settle(name: string): string {
  let before: string;
  do {
    before = name;
    name = cut(trimEnd(name.replace(/^[\s\p{M}]+/u, "")));
    // A dot at the start would hide the file, or make it our own folder of partials.
    if (name.startsWith(".") || DEVICE.test(name)) name = `_${name}`;
  } while (name !== before);
  return name;
}

/** Shortens the part before the extension until the name fits. */
function cut(name: string): string {
  if (byteLength(name) <= MAX_NAME_BYTES) return name;
  const [stem, extension] = splitExtension(name);
  return trimEnd(cutTo(stem, MAX_NAME_BYTES - byteLength(extension))) + extension;
}

/** The longest start of `text` within `max` bytes that ends between two graphemes. */
function cutTo(text: string, max: number): string {
  if (byteLength(text) <= max) return text;
  graphemes ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  let end = 0;
  let size = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    size += byteLength(segment);
    if (size > max) break;
    end = index + segment.length;
  }
  // A grapheme can be of any length: one that does not fit is cut between two code points.
  return text.slice(0, end || encoder.encodeInto(text, new Uint8Array(max)).read);
}

/** The name without its extension, and the extension with its dot, which may be empty. */
function splitExtension(name: string): [stem: string, extension: string] {
  const at = EXTENSION.exec(name)?.index ?? 0;
  if (at === 0 || byteLength(name.slice(at)) > MAX_EXTENSION_BYTES) return [name, ""];
  return [name.slice(0, at), name.slice(at)];
}

/** Without dots and whitespace at the end, which Windows drops. */
function trimEnd(text: string): string {
  // A loop: the regular expression takes quadratic time on long runs of dots.
  let end = text.length;
  while (end > 0 && /[\s.]/.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

function byteLength(text: string): number {
  return encoder.encode(text).length;
}
