import { P2PError } from "../errors.ts";

/** Where bytes come from. */
export interface ByteSource {
  /**
   * Fills some of `into` and returns the filled part, or `null` at the end. The returned view may lie
   * in another `ArrayBuffer` than `into` did (a BYOB read detaches the one it gets), but at the same
   * offset of memory of the same length; `into` must not be used afterwards.
   */
  read(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null>;
}

const LF = 0x0a;
/** What an idle session keeps allocated. */
const IDLE_BUFFER = 1024;

/**
 * Takes lines and sized blocks from a {@linkcode ByteSource}. An end before the first byte of a line is
 * a clean end (`null`); an end anywhere else is a truncation (`connection-lost`).
 */
export class ByteReader {
  #source: ByteSource;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(IDLE_BUFFER);
  #start = 0;
  #end = 0;
  /** Size of the buffer while no long header is in it. */
  #size = IDLE_BUFFER;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Continues with another source of the same bytes and a buffer of `bufferSize`. */
  setSource(source: ByteSource, bufferSize: number): void {
    this.#source = source;
    this.#size = bufferSize;
    this.#resize(Math.max(bufferSize, this.#end - this.#start));
  }

  /** Bytes that have been read from the source and not taken yet. */
  get buffered(): number {
    return this.#end - this.#start;
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
      searched = this.buffered;
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
   * Fills the whole of `into` and returns it, in a new view when the source needs one.
   *
   * @throws {P2PError} `connection-lost` when the source ends first.
   */
  async readExactly(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const { byteOffset, length } = into;
    let filled = Math.min(this.buffered, length);
    into.set(this.#buffer.subarray(this.#start, this.#start + filled));
    this.#start += filled;
    let buffer = into.buffer;
    while (filled < length) {
      const view = await this.#source.read(
        new Uint8Array(buffer, byteOffset + filled, length - filled),
      );
      if (view === null) throw truncated();
      buffer = view.buffer;
      filled += view.length;
    }
    return new Uint8Array(buffer, byteOffset, length);
  }

  /** Reads `length` bytes and drops them. */
  async skip(length: number): Promise<void> {
    let left = length;
    while (left > 0) {
      if (this.buffered === 0 && !await this.#fill()) throw truncated();
      const taken = Math.min(left, this.buffered);
      this.#start += taken;
      left -= taken;
    }
  }

  /** Reads once more into the free end of the buffer; false at the end of the source. */
  async #fill(): Promise<boolean> {
    if (this.#start === this.#end) {
      this.#start = this.#end = 0;
      if (this.#buffer.length > this.#size) this.#buffer = new Uint8Array(this.#size);
    } else if (this.#end === this.#buffer.length) {
      this.#resize(this.#start > 0 ? this.#buffer.length : this.#buffer.length * 2);
    }
    const view = await this.#source.read(this.#buffer.subarray(this.#end));
    if (view === null) {
      // A BYOB source may keep the memory at the end; a line begun in it is truncated anyway.
      if (this.#buffer.buffer.detached) {
        this.#buffer = new Uint8Array(IDLE_BUFFER);
        this.#start = this.#end = 0;
      }
      return false;
    }
    // A BYOB source gives the memory back in a new ArrayBuffer.
    if (view.buffer !== this.#buffer.buffer) this.#buffer = new Uint8Array(view.buffer);
    this.#end += view.length;
    return true;
  }

  /** Moves what is buffered to the front of a buffer of `size`. */
  #resize(size: number): void {
    const buffer = size === this.#buffer.length ? this.#buffer : new Uint8Array(size);
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    this.#buffer = buffer;
    this.#end -= this.#start;
    this.#start = 0;
  }
}

function truncated(): P2PError {
  return new P2PError("connection-lost", "Cannot read a frame: the connection ended inside it");
}
