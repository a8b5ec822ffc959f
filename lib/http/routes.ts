/**
 * What the pages and APIs of both programs have in common: files, lists in pages, and changes as they happen.
 *
 * @module
 */

import { type EventStream, failure, type HttpReply, json, type Route } from "./http_server.ts";

/** Entries of a page, unless `limit` says less. */
const PAGE = 500;
/** Milliseconds in which changes are told once. */
const TOLD_EVERY = 500;

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Files of every page, by their paths. */
const COMMON = ["common.js", "page.css", "icon.svg"];

/** Serves the page of a program, `tracker` or `peer`: the files beside this module that it is made of. */
export async function pageRoutes(program: string): Promise<Record<string, Route>> {
  const paths = [["/", `${program}.html`], ["/page.js", `${program}.js`]];
  paths.push(...COMMON.map((file) => [`/${file}`, file]));
  const routes = await Promise.all(
    paths.map(async ([path = "", file = ""]): Promise<[string, Route]> => {
      const body = await Deno.readFile(new URL(`./page/${file}`, import.meta.url));
      const type = TYPES[file.split(".").at(-1) ?? ""] ?? "";
      return [path, { isOpen: true, answer: () => ({ type, body }) }];
    }),
  );
  return Object.fromEntries(routes);
}

/** Answers with a list, page by page. */
export function listRoute(name: string, all: () => Promise<unknown[]> | unknown[]): Route {
  return { answer: async ({ query }) => pageOf(name, await all(), query) };
}

/** Those who watch, and are told which of some lists has changed. */
export class Watchers<T extends string> {
  readonly #listeners = new Set<(topic: T) => void>();

  /** Tells all that a list has changed. */
  tell(topic: T): void {
    for (const listener of this.#listeners) listener(topic);
  }

  /** Calls a listener after each change, until the returned function is called. */
  add(listener: (topic: T) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/**
 * Tells which of some lists have changed: whoever shows one asks for it again. All of them are told at once, so that a
 * client knows that it is connected, and asks for what it has missed.
 *
 * @param onChanged calls a listener after each change, until the function that it returns is called.
 */
export function changesRoute<T extends string>(
  topics: readonly T[],
  onChanged: (listener: (topic: T) => void) => () => void,
): Route {
  const stream: EventStream = {
    begin(send, onReady) {
      const changed = new Set<T>();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const tell = () => {
        timer = undefined;
        if (changed.size === 0) return;
        if (send("changed", [...changed])) changed.clear();
        else onReady(tell);
      };
      const stop = onChanged((topic) => {
        changed.add(topic);
        timer ??= setTimeout(tell, TOLD_EVERY);
      });
      send("changed", topics);
      return () => {
        stop();
        clearTimeout(timer);
      };
    },
  };
  return { answer: () => stream };
}

/** One page of a list, with how many there are in all. */
export function pageOf(
  name: string,
  all: readonly unknown[],
  query: URLSearchParams,
  more: Record<string, unknown> = {},
): HttpReply {
  const [start, limit] = [numberIn(query, "start", 0), numberIn(query, "limit", PAGE)];
  if (start === null || limit === null || limit < 1 || limit > PAGE) {
    return failure(400, `start has to be 0 or more, and limit from 1 to ${PAGE}`);
  }
  return json({ ...more, total: all.length, [name]: all.slice(start, start + limit) });
}

function numberIn(query: URLSearchParams, name: string, byDefault: number): number | null {
  const given = query.get(name);
  if (given === null) return byDefault;
  return /^\d{1,9}$/.test(given) ? Number(given) : null;
}

/** Answers with the metrics. */
export function metricsRoute(
  metrics: { contentType: string; text(): Promise<string> },
): Route {
  return { answer: async () => ({ type: metrics.contentType, body: await metrics.text() }) };
}

/** A line of text. */
export function text(body: string): HttpReply {
  return { type: "text/plain; charset=utf-8", body: `${body}\n` };
}
