/**
 * What `--http` of both programs has in common.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { cpuUsage } from "node:process";
import { type Address, formatAddress, isLoopback } from "../address.ts";
import { addressOf } from "../cli/arguments/arguments.ts";
import { HttpServer, type Route } from "../http/http_server.ts";
import type { ProcessInfo } from "../http/metrics.ts";
import { addressesOf, nearest } from "./addresses.ts";
import type { CommandContext } from "./program.ts";

/** Port of `--http` where none is named. */
const PORT = 8080;

/** A page that is served. */
export interface Page extends AsyncDisposable {
  /** Where, with the token where one is needed. */
  readonly url: string;
}

/** Says of this process what is to be shown; from when this is called it counts as started. */
export function processInfo(): () => ProcessInfo {
  const started = new Date().toISOString();
  return () => {
    const { user, system } = cpuUsage();
    const { rss: memory } = Deno.memoryUsage();
    return { version: config.version, started, memory, cpu: (user + system) / 1e6 };
  };
}

/**
 * Serves what `--http` asks for. On loopback whoever is on this machine may read it; elsewhere only who has the token,
 * which stands in the address of the page behind the #: there it is sent to nobody, and is in no log of requests.
 *
 * @throws {P2PError} `address-in-use` or `usage`.
 */
export async function servePage(
  { command: { values } }: CommandContext,
  { routes, token }: { routes: Record<string, Route>; token: () => Promise<string> },
): Promise<Page> {
  const { host, port } = addressOf(values, "http") ?? { host: "127.0.0.1", port: null };
  const address: Address = { host: host === "localhost" ? "127.0.0.1" : host, port: port ?? PORT };
  const needed = isLoopback(address.host) ? null : await token();
  const server = await HttpServer.listen({ address, routes, token: needed });
  const [own = nearest(address.host)] = addressesOf(address.host);
  const place = formatAddress({ host: own, port: server.address.port });
  return {
    url: `http://${place}/${needed === null ? "" : `#token=${needed}`}`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
