/** What a server of pages lets in, and what it leaves outside. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { P2PError } from "../../lib/errors.ts";
import {
  type EventStream,
  failure,
  HttpServer,
  json,
  type Route,
} from "../../lib/http/http_server.ts";
import { eventually } from "../helpers/deadline.ts";
import { permitted } from "../helpers/permissions.ts";

const NEEDS: Deno.PermissionName[] = ["net"];
const HOST = "127.0.0.1";

/** A stream that a test tells things to. */
class Told {
  send: (event: string, data: unknown) => boolean = () => false;
  again: (() => void) | undefined;
  ended = 0;
  readonly stream: EventStream = {
    begin: (send, onReady) => {
      this.send = (event, data) => {
        const isSent = send(event, data);
        if (!isSent) onReady(() => this.again?.());
        return isSent;
      };
      send("hello", 1);
      return () => void this.ended++;
    },
  };
}

async function serve(
  { token = null, told = new Told() }: { token?: string | null; told?: Told } = {},
) {
  const routes: Record<string, Route> = {
    "/": { isOpen: true, answer: () => ({ type: "text/plain", body: "page" }) },
    "/list": { answer: ({ query }) => json({ query: [...query] }) },
    "/of/": { answer: ({ rest }) => json({ rest }) },
    "/broken": { answer: () => Promise.reject(new Error("secret")) },
    "/gone": { answer: () => failure(404, "gone") },
    "/events": { answer: () => told.stream },
  };
  const server = await HttpServer.listen({ address: { host: HOST, port: 0 }, routes, token });
  const { port } = server.address;
  return {
    server,
    port,
    ask: async (path: string, init: RequestInit = {}) => {
      const response = await fetch(`http://${HOST}:${port}${path}`, init);
      return [response.status, await response.text()] as const;
    },
    raw: (text: string) => exchange(port, text),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Sends a text and resolves with all that comes until the server closes. */
async function exchange(port: number, text: string): Promise<string> {
  using conn = await Deno.connect({ hostname: HOST, port });
  await conn.write(new TextEncoder().encode(text));
  let said = "";
  const buffer = new Uint8Array(4096);
  try {
    for (let n; (n = await conn.read(buffer)) !== null;) {
      said += new TextDecoder().decode(buffer.subarray(0, n));
    }
  } catch {
    // Reset: nothing more comes.
  }
  return said;
}

permitted("paths are answered, and what is not there is said", NEEDS, async () => {
  await using web = await serve();
  assertEquals(await web.ask("/"), [200, "page"]);
  assertEquals(await web.ask("/list?a=1&b=%3C"), [200, '{"query":[["a","1"],["b","<"]]}']);
  assertEquals(await web.ask("/of/a%2Fb/c"), [200, '{"rest":["a/b","c"]}']);
  for (const path of ["/of", "/nope", "/list/", "/of/%ff", "/constructor", "/__proto__"]) {
    assertEquals((await web.ask(path))[0], 404, path);
  }
  assertEquals(await web.ask("/gone"), [404, '{"error":"gone"}']);
  // What went wrong inside is nobody's business.
  assertEquals(await web.ask("/broken"), [500, '{"error":"Something unexpected happened"}']);
  assertEquals((await web.ask("/", { method: "HEAD" }))[1], "");
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    assertEquals((await web.ask("/", { method }))[0], 405, method);
  }
});

permitted("nothing of another origin is loaded, and no other origin reads it", NEEDS, async () => {
  await using web = await serve();
  const response = await fetch(`http://${HOST}:${web.port}/`);
  await response.body?.cancel();
  const policy = response.headers.get("content-security-policy") ?? "";
  assertStringIncludes(policy, "default-src 'none'");
  assert(!policy.includes("unsafe") && !policy.includes("*"), policy);
  assertEquals(response.headers.get("x-content-type-options"), "nosniff");
  assertEquals(response.headers.get("access-control-allow-origin"), null);
  const get = (headers: string) =>
    web.raw(`GET /list HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`);
  const status = async (headers: string) => (await get(headers)).slice(9, 12);
  for (const host of [HOST, `${HOST}:1`, "localhost", "LOCALHOST:99", "[::1]:8080"]) {
    assertEquals(await status(`Host: ${host}`), "200", host);
  }
  for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""]) {
    assertEquals(await status(`Host: ${host}`), "421", host);
  }
  assertEquals(await status(`Host: localhost\r\nOrigin: http://localhost`), "200");
  for (const origin of ["http://evil.example", "null", "http://localhost:1"]) {
    assertEquals(await status(`Host: localhost\r\nOrigin: ${origin}`), "403", origin);
  }
});

permitted("a token opens what is not open, under any name", NEEDS, async () => {
  await using web = await serve({ token: "right" });
  assertEquals((await web.ask("/"))[0], 200);
  for (
    const authorization of ["", "Bearer wrong", "Bearer righ", "Basic right", "Bearer right x"]
  ) {
    assertEquals((await web.ask("/list", { headers: { authorization } }))[0], 401, authorization);
  }
  const headers = { authorization: "Bearer right" };
  assertEquals((await web.ask("/list", { headers }))[0], 200);
  const proxied = "Host: tracker.example\r\nAuthorization: Bearer right\r\nConnection: close";
  assertStringIncludes(await web.raw(`GET /list HTTP/1.1\r\n${proxied}\r\n\r\n`), " 200 ");
});

permitted("nonsense is turned away, and does no harm", NEEDS, async () => {
  await using web = await serve();
  const long = "x".repeat(20_000);
  for (
    const text of [
      "\x16\x03\x01 not http at all\r\n\r\n",
      `GET /${long} HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: ${HOST}\r\nX: ${long}\r\n\r\n`,
      "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      "GET //evil.example/list HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ]
  ) {
    const said = await web.raw(text);
    assert(said === "" || /^HTTP\/1\.1 4\d\d /.test(said), said);
  }
  assertEquals(await web.ask("/"), [200, "page"]);
});

permitted("one address has 32 connections, and others their own", NEEDS, async () => {
  await using web = await serve();
  using stack = new DisposableStack();
  const open: Promise<number | null>[] = [];
  for (let i = 0; i < 40; i++) {
    const conn = stack.use(await Deno.connect({ hostname: HOST, port: web.port }));
    open.push(conn.read(new Uint8Array(1)).catch(() => null));
  }
  let ended = 0;
  for (const one of open) void one.then(() => ended++);
  await eventually(() => ended === 8, () => `${ended} were closed`);
});

permitted("events come, and end with the client or the server", NEEDS, async () => {
  const told = new Told();
  const web = await serve({ told });
  const response = await fetch(`http://${HOST}:${web.port}/events`);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const next = async () => (await reader?.read())?.value;
  assertEquals(await next(), "event: hello\ndata: 1\n\n");
  assertEquals(told.send("x", { text: "a\nb" }), true);
  assertEquals(await next(), 'event: x\ndata: {"text":"a\\nb"}\n\n');
  await reader?.cancel();
  await eventually(() => told.ended === 1, "the end of the stream");
  const other = await fetch(`http://${HOST}:${web.port}/events`);
  await web[Symbol.asyncDispose]();
  await eventually(() => told.ended === 2, "the end of the other");
  await other.body?.cancel().catch(() => {});
});

permitted("a client that does not read is not told more, until it does", NEEDS, async () => {
  const told = new Told();
  await using web = await serve({ told });
  using conn = await Deno.connect({ hostname: HOST, port: web.port });
  await conn.write(new TextEncoder().encode("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  await conn.read(new Uint8Array(4096));
  const much = "x".repeat(64 * 1024);
  let sent = 0;
  let isReady = false;
  told.again = () => isReady = true;
  while (told.send("x", much)) {
    assert(++sent < 1000, "nothing held it back");
    await new Promise((resolve) => setTimeout(resolve));
  }
  const buffer = new Uint8Array(256 * 1024);
  while (!isReady) await conn.read(buffer);
  assertEquals(told.send("x", 1), true);
});

permitted("a port in use is said", NEEDS, async () => {
  await using web = await serve();
  const address = { host: HOST, port: web.port };
  const thrown = await HttpServer.listen({ address, routes: {}, token: null }).catch((e) => e);
  assert(thrown instanceof P2PError);
  assertEquals(thrown.code, "address-in-use");
});
