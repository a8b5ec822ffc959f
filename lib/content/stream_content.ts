import type { FileAttributes } from "../disk/file_mode.ts";
import type { P2PError } from "../errors.ts";
import type { Content, SuspectPart } from "./content.ts";

/** A content that can be read once and whose end nobody knows, such as standard input. */
export class StreamContent implements Content {
  readonly name: string;
  readonly path: string;
  readonly size = null;
  readonly table = null;
  readonly key = null;
  readonly isSettled = false;
  readonly isSeekable = false;
  readonly attributes: FileAttributes = {};
  readonly files = null;
  readonly skipped: readonly string[] = [];
  readonly failed: readonly P2PError[] = [];
  readonly grown: readonly string[] = [];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  /** @param name of the file that the bytes of `stream` are offered as. */
  constructor(stream: ReadableStream<Uint8Array>, name: string) {
    this.name = name;
    this.path = name;
    this.#reader = stream.getReader();
  }

  skipTo(_offset: number): void {
    throw new TypeError("a stream cannot be sought");
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    let filled = 0;
    while (filled < into.length) {
      if (this.#rest.length === 0) {
        const { value, done } = await this.#reader.read();
        if (done) break;
        this.#rest = value;
      }
      const part = this.#rest.subarray(0, into.length - filled);
      into.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return into.subarray(0, filled);
  }

  readAt(_offset: number, _into: Uint8Array): Promise<number> {
    return Promise.reject(new TypeError("a stream cannot be read again"));
  }

  suspects(): Promise<readonly SuspectPart[]> {
    return Promise.resolve([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}
