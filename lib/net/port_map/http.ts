import { Buffer } from "node:buffer";
import { request } from "node:http";
import { P2PError, reasonOf } from "../../errors.ts";

/** Bytes of a router's answer that are read at most: descriptions have some thousands. */
const MAX_ANSWER = 256 * 1024;
/** Milliseconds for an answer: a router is some meters away. */
const TIMEOUT = 3_000;

/** An answer by HTTP. */
export interface HttpAnswer {
  status: number;
  text: string;
}

/**
 * Asks a router by HTTP. No proxy is used, as `fetch` would by the
 * environment's, and no redirection followed.
 *
 * @throws {P2PError} `timeout`; the signal's reason.
 */
export async function askByHttp(
  url: URL,
  { headers = {}, body, signal }: {
    headers?: Record<string, string>;
    /** What is posted; without it the page is got. */
    body?: string;
    signal: AbortSignal;
  },
): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const bytes = Buffer.from(body ?? "");
  const asked = request(url, {
    method: body === undefined ? "GET" : "POST",
    agent: false,
    headers: { ...headers, "Connection": "close", "Content-Length": bytes.length },
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]),
  }, (answer) => {
    const parts: Buffer[] = [];
    let length = 0;
    answer.on("data", (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length > MAX_ANSWER) asked.destroy(new P2PError("too-long", "its answer is too long"));
    });
    answer.on("error", reject);
    answer.on(
      "end",
      () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
    );
  });
  asked.on("error", reject);
  asked.end(bytes);
  try {
    return await promise;
  } catch (cause) {
    signal.throwIfAborted();
    const reason = cause instanceof P2PError ? cause.message : `no answer (${reasonOf(cause)})`;
    throw new P2PError("timeout", reason, { cause });
  } finally {
    asked.destroy();
  }
}
