/**
 * HTTP/1.1 for reading (RFC 9110, 9112): GET and HEAD of a fixed set of paths, and streams of server-sent events. What is
 * served is for the browser and the programs of whoever runs this: nothing can be changed by it.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { timingSafeEqual } from "@std/crypto/timing-safe-equal";
import { type Address, formatAddress, isLoopback } from "../address.ts";
import { NAME_UNKNOWN, P2PError, reasonOf } from "../errors.ts";
import { type Caps, HostCounts } from "../net/host_counts.ts";

/** What a path is asked for. */
export interface HttpRequest {
  /** Parts of the path after that of the route, decoded; none where the route is the whole path. */
  readonly rest: readonly string[];
  readonly query: URLSearchParams;
}

/** What is answered at once. */
export interface HttpReply {
  readonly status?: number;
  /** Content-Type. */
  readonly type: string;
  readonly body: string | Uint8Array;
}

/** Events, for as long as the client listens. */
export interface EventStream {
  /**
   * Begins to tell the client; what it returns is called when the client has gone. `send` says false, and sends nothing,
   * while the client has yet to read what it was told before; `onReady` has a function called once it has.
   */
  readonly begin: (
    send: (event: string, data: unknown) => boolean,
    onReady: (again: () => void) => void,
  ) => () => void;
}

/** Answers one path. */
export interface Route {
  /** Whether it is answered without the token. */
  readonly isOpen?: boolean;
  readonly answer: (
    request: HttpRequest,
  ) => HttpReply | EventStream | Promise<HttpReply | EventStream>;
}

/** Settings of a {@linkcode HttpServer}. */
export interface HttpServerOptions {
  address: Address;
  /** By path; one that ends with a slash answers all paths below it. */
  routes: Readonly<Record<string, Route>>;
  /** What clients have to show (RFC 6750); null lets all in who reach the address. */
  token: string | null;
}

/** Connections at once. */
const MAX_CONNECTIONS: Caps = { address: 32, network: 64, all: 128 };
/** Milliseconds for a request to come, and between two of one connection. */
const REQUEST_TIMEOUT = 10_000;
const KEEP_ALIVE = 5_000;
/** Bytes of a request line and its headers. */
const MAX_HEADERS = 8 * 1024;
/** Milliseconds between two signs of life of a stream, and bytes of it that may wait for its client. */
const BEAT = 15_000;
const MAX_WAITING = 256 * 1024;

/** What the system says of an address that it cannot listen on, in our words. */
const NOT_HERE: Readonly<Record<string, string>> = {
  EINVAL: "it is no address of this machine",
  EADDRNOTAVAIL: "it is no address of this machine",
  ENOTFOUND: NAME_UNKNOWN,
};

/** Of all answers: nothing of another origin is loaded, framed or sent anywhere, and nothing is kept. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
};

/** A JSON answer. */
export function json(body: unknown, status = 200): HttpReply {
  return { status, type: "application/json; charset=utf-8", body: JSON.stringify(body) };
}

/** An answer that names what is wrong, as JSON. */
export function failure(status: number, message: string): HttpReply {
  return json({ error: message }, status);
}

/** Serves until it is disposed of. */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #connections = new HostCounts();
  readonly #streams = new Set<ServerResponse>();

  private constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer({
      headersTimeout: REQUEST_TIMEOUT,
      requestTimeout: REQUEST_TIMEOUT,
      keepAliveTimeout: KEEP_ALIVE,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: MAX_HEADERS,
    }, (request, response) => void this.#serve(request, response));
    this.#server.on("connection", (socket: Socket) => this.#admit(socket));
  }

  /**
   * Listens.
   *
   * @throws {P2PError} `address-in-use` or `usage`.
   */
  static async listen(options: HttpServerOptions): Promise<HttpServer> {
    const server = new HttpServer(options);
    const { host, port } = options.address;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.#server.once("error", reject);
    server.#server.listen(port, host, () => resolve());
    try {
      await promise;
    } catch (cause) {
      const { code = "" } = cause as { code?: string };
      const why = NOT_HERE[code] ?? reasonOf(cause);
      throw new P2PError(
        code === "EADDRINUSE" ? "address-in-use" : "usage",
        `Cannot listen on ${formatAddress(options.address)} for --http: ${why}; ` +
          "choose another with --http",
        { cause, flag: "http" },
      );
    }
    server.#server.removeListener("error", reject);
    // What a connection does wrong is its own end alone.
    server.#server.on("error", () => {});
    return server;
  }

  /** Where it listens. */
  get address(): Address {
    const { address, port } = this.#server.address() as { address: string; port: number };
    return { host: address, port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const response of this.#streams) response.destroy();
    this.#server.closeAllConnections();
    await promise;
  }

  /** Counts a connection, or ends it where there are too many. */
  #admit(socket: Socket): void {
    socket.on("error", () => {});
    const host = socket.remoteAddress;
    if (host === undefined || !this.#connections.hasRoom(host, MAX_CONNECTIONS)) {
      socket.destroy();
      return;
    }
    this.#connections.add(host);
    socket.once("close", () => this.#connections.remove(host));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    response.on("error", () => {});
    let reply: HttpReply | EventStream;
    try {
      reply = await this.#answer(request, response);
    } catch {
      reply = failure(500, "Something unexpected happened");
    }
    if ("begin" in reply) {
      this.#stream(reply, request, response);
      return;
    }
    response.writeHead(reply.status ?? 200, { "content-type": reply.type });
    response.end(request.method === "HEAD" ? undefined : reply.body);
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<HttpReply | EventStream> {
    const { method, headers } = request;
    if (method !== "GET" && method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return failure(405, "This can be read, and not changed");
    }
    if (!this.#isForUs(headers.host)) {
      return failure(421, "This is not served under that name: open it by its address");
    }
    const { origin } = headers;
    if (
      origin !== undefined && origin !== `http://${headers.host}` &&
      origin !== `https://${headers.host}`
    ) {
      return failure(403, "Pages of other sites may not read this");
    }
    const url = parse(request.url ?? "/");
    if (!url) return failure(400, "That is no path");
    const found = this.#route(url.pathname);
    if (!found) {
      return failure(404, "There is nothing at this path; the page is at /");
    }
    if (!found.route.isOpen && !this.#isAllowed(headers.authorization)) {
      response.setHeader("www-authenticate", 'Bearer realm="p2p"');
      return failure(401, "This needs the token that was shown when this program started");
    }
    return await found.route.answer({ rest: found.rest, query: url.searchParams });
  }

  /**
   * Whether a Host header names this server: a page elsewhere whose name leads here (DNS rebinding) is kept out. With a
   * token it is that which keeps others out, and a proxy may give the server any name.
   */
  #isForUs(host: string | undefined): boolean {
    if (this.#options.token !== null) return true;
    const name = /^(.*?)(?::\d+)?$/.exec(host ?? "")?.[1]?.toLowerCase() ?? "";
    const plain = name.replace(/^\[|\]$/g, "");
    return name === "localhost" || isLoopback(plain) || plain === this.#options.address.host;
  }

  #isAllowed(authorization: string | undefined): boolean {
    const { token } = this.#options;
    if (token === null) return true;
    const given = /^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? "";
    const [a, b] = [given, token].map((text) => new TextEncoder().encode(text));
    return a !== undefined && b !== undefined && a.length === b.length && timingSafeEqual(a, b);
  }

  #route(path: string): { route: Route; rest: string[] } | undefined {
    const { routes } = this.#options;
    if (Object.hasOwn(routes, path)) return { route: routes[path] as Route, rest: [] };
    const end = path.split("/").slice(0, -1);
    for (let at = end.length; at > 1; at--) {
      const base = `${end.slice(0, at).join("/")}/`;
      if (!Object.hasOwn(routes, base)) continue;
      const rest = path.slice(base.length).split("/").map(decoded);
      return rest.every((part) => part !== null)
        ? { route: routes[base] as Route, rest }
        : undefined;
    }
    return undefined;
  }

  /** Sends events (WHATWG HTML, "Server-sent events"). */
  #stream({ begin }: EventStream, request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const waiting: (() => void)[] = [];
    const write = (text: string): boolean => {
      if (response.writableLength > MAX_WAITING) return false;
      response.write(text);
      return true;
    };
    response.on("drain", () => {
      for (const again of waiting.splice(0)) again();
    });
    const end = begin(
      (event, data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
      (again) => waiting.push(again),
    );
    const beat = setInterval(() => {
      // Whoever has read nothing between two beats is gone, or does not want it.
      if (!write(": still here\n\n")) response.destroy();
    }, BEAT);
    this.#streams.add(response);
    response.once("close", () => {
      this.#streams.delete(response);
      clearInterval(beat);
      end();
    });
  }
}

/** The path and query of a request; null where they cannot be read. */
function parse(target: string): URL | null {
  return target.startsWith("/") ? URL.parse(`http://host${target}`) : null;
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
