/**
 * Numbers, times and ids as people read them.
 *
 * @module
 */

import { format } from "@std/fmt/bytes";
import { escapeText } from "./escape.ts";

const SHORT_ID = 8;

/** `12.3 MiB`. */
export function formatSize(bytes: number): string {
  // @std writes the old kiB, the standard (IEC 80000-13) and everybody else KiB.
  return Number.isFinite(bytes)
    ? format(Math.round(bytes), { binary: true }).replace("k", "K")
    : "?";
}

/** `12.3 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(bytesPerSecond)}/s`;
}

/** `bytes` in `seconds` as a rate. */
export function rateOf(bytes: number, seconds: number): string {
  return formatRate(bytes / Math.max(seconds, 0.001));
}

/** `0.42 s`, `12 s`, `2 min 5 s`, `1 h 2 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long the rest takes at `rate` bytes per second, `0:12 left`; empty where that is not known. */
export function formatLeft(bytes: number, size: number | null, rate: number): string {
  if (size === null || !(rate > 0)) return "";
  const seconds = Math.ceil(Math.max(0, size - bytes) / rate);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const [first, ...rest] = seconds < 3600 ? parts.slice(1) : parts;
  return `${[first, ...rest.map((part) => String(part).padStart(2, "0"))].join(":")} left`;
}

/** `45 %`, rounded down so that 100 % means all of it; null when the size is not known. */
export function percentOf(bytes: number, size: number | null): number | null {
  if (size === null) return null;
  return size === 0 ? 100 : Math.min(100, Math.floor((bytes / size) * 100));
}

/** The first characters of an id, which is what people see of it. */
export function shortId(id: string): string {
  return escapeText(id.slice(0, SHORT_ID));
}

/** A name made safe; an id in the place of a name is shortened, with a colon that no name has. */
export function nameOf(name: string): string {
  return /^[\w-]{43}$/.test(name) ? `id:${shortId(name)}` : escapeText(name);
}

/** `2 peers`, `1 peer`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** Local date and time to the minute, `2026-02-03 14:05`; what is no date stays as it is. */
export function formatDate(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return escapeText(iso);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
