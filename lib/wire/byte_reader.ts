import { P2PError } from "../errors.ts";

/** Where bytes come from; a socket is one. */
export interface ByteSource {
  /** Fills `into` from its start, maybe not all of it; returns the number of bytes, or `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
}

const LF = 0x0a;
/** What an idle session keeps allocated. */
const IDLE_BUFFER = 1024;

/**
 * Takes lines and sized blocks from a {@linkcode ByteSource}. An end before the first byte of a line is
 * a clean end (`null`); an end anywhere else is a truncation (`connection-lost`).
 */
export class ByteReader {
  /**
   * Bytes of the buffer while no long line is in it, at least 1. It may be changed at any time, also during
   * a call; the buffer follows when it is empty.
   */
  bufferSize: number = IDLE_BUFFER;
  readonly #source: ByteSource;
  #buffer = new Uint8Array(IDLE_BUFFER);
  #start = 0;
  #end = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Bytes that have been read from the source and not taken yet. */
  get #buffered(): number {
    return this.#end - this.#start;
  }

  /** The next byte, which stays to be taken, or `null` at a clean end. */
  async peek(): Promise<number | null> {
    while (this.#buffered === 0) {
      if (!await this.#fill()) return null;
    }
    return this.#buffer[this.#start] as number;
  }

  /**
   * The next line without its LF, or `null` at a clean end. The view is valid until the next call.
   *
   * @throws {P2PError} `too-long` when no LF comes within `max` bytes; `connection-lost` on truncation.
   */
  async readLine(max: number): Promise<Uint8Array | null> {
    let searched = 0;
    while (true) {
      const at = this.#buffer.subarray(this.#start + searched, this.#end).indexOf(LF);
      if (at >= 0 && searched + at <= max) {
        const line = this.#buffer.subarray(this.#start, this.#start + searched + at);
        this.#start += searched + at + 1;
        return line;
      }
      searched = this.#buffered;
      if (searched > max) {
        throw new P2PError("too-long", `Cannot read a frame: its header is over ${max} bytes`);
      }
      if (!await this.#fill()) {
        if (searched === 0) return null;
        throw truncated();
      }
    }
  }

  /**
   * Fills the whole of `into`: what is not buffered goes there straight from the source.
   *
   * @throws {P2PError} `connection-lost` when the source ends first.
   */
  async readExactly(into: Uint8Array): Promise<void> {
    let filled = Math.min(this.#buffered, into.length);
    into.set(this.#buffer.subarray(this.#start, this.#start + filled));
    this.#start += filled;
    // Many times for each piece: a TLS socket gives 16 KiB at a time.
    while (filled < into.length) {
      const n = await this.#source.read(into.subarray(filled));
      if (n === null) throw truncated();
      filled += n;
    }
  }

  /**
   * Reads `length` bytes and drops them.
   *
   * @throws {P2PError} `connection-lost` when the source ends first.
   */
  async skip(length: number): Promise<void> {
    let left = length;
    while (left > 0) {
      if (this.#buffered === 0 && !await this.#fill()) throw truncated();
      const taken = Math.min(left, this.#buffered);
      this.#start += taken;
      left -= taken;
    }
  }

  /** Takes what has been read from the source and not been taken yet. */
  takeBuffered(): Uint8Array<ArrayBuffer> {
    const buffered = this.#buffer.slice(this.#start, this.#end);
    this.#start = this.#end;
    return buffered;
  }

  /** Reads once more into the free end of the buffer; false at the end of the source. */
  async #fill(): Promise<boolean> {
    if (this.#start === this.#end) {
      this.#start = this.#end = 0;
      if (this.#buffer.length !== this.bufferSize) this.#buffer = new Uint8Array(this.bufferSize);
    } else if (this.#end === this.#buffer.length) {
      this.#makeRoom();
    }
    const n = await this.#source.read(this.#buffer.subarray(this.#end));
    if (n === null) return false;
    this.#end += n;
    return true;
  }

  /** Moves what is buffered to the front, of a larger buffer when this one is full of it. */
  #makeRoom(): void {
    const { length } = this.#buffer;
    const buffer = this.#start > 0 ? this.#buffer : new Uint8Array(length * 2);
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    this.#buffer = buffer;
    this.#end -= this.#start;
    this.#start = 0;
  }
}

function truncated(): P2PError {
  return new P2PError("connection-lost", "Cannot read a frame: the connection ended inside it");
}
