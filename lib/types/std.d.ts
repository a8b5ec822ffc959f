/**
 * Types of the parts of @std that this project uses. The npm package `deno-std` holds the same
 * sources as JSR but carries no declarations; an ambient declaration wins over its JavaScript.
 */

declare module "@std/cli/parse-args" {
  interface ParseOptions {
    boolean?: string[];
    string?: string[];
    collect?: string[];
    alias?: Record<string, string | string[]>;
    default?: Record<string, unknown>;
    negatable?: string[];
    stopEarly?: boolean;
    "--"?: boolean;
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  /** Parses `args`; positional arguments are under `_`. */
  export function parseArgs(
    args: readonly string[],
    options?: ParseOptions,
  ): Record<string, unknown> & { _: (string | number)[] };
}

declare module "@std/bytes/concat" {
  /** The parts one after the other. */
  export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer>;
}

declare module "@std/bytes/equals" {
  /** Whether two byte strings are the same; how long that takes tells where they differ. */
  export function equals(a: Uint8Array, b: Uint8Array): boolean;
}

declare module "@std/crypto/timing-safe-equal" {
  /** Compares two buffers in a time that depends on their length only. */
  export function timingSafeEqual(
    a: ArrayBufferView | ArrayBufferLike,
    b: ArrayBufferView | ArrayBufferLike,
  ): boolean;
}

declare module "@std/streams/text-line-stream" {
  /** Splits a stream of text into lines, without their endings (LF or CRLF). */
  export class TextLineStream extends TransformStream<string, string> {
    constructor(options?: { allowCR?: boolean });
  }
}

declare module "@std/encoding/base64url" {
  /** RFC 4648 section 5, without padding. */
  export function encodeBase64Url(data: Uint8Array | ArrayBuffer | string): string;
  /** Throws on a character or a length that base64url does not have. */
  export function decodeBase64Url(text: string): Uint8Array<ArrayBuffer>;
}

declare module "@std/encoding/hex" {
  export function encodeHex(data: Uint8Array | ArrayBuffer | string): string;
  export function decodeHex(text: string): Uint8Array<ArrayBuffer>;
}

declare module "@std/text/levenshtein-distance" {
  /** Least number of characters to insert, delete or replace that turns one string into the other. */
  export function levenshteinDistance(a: string, b: string): number;
}

declare module "@std/fmt/bytes" {
  export function format(
    bytes: number,
    options?: {
      bits?: boolean;
      binary?: boolean;
      signed?: boolean;
      minimumFractionDigits?: number;
      maximumFractionDigits?: number;
    },
  ): string;
}

declare module "@std/fmt/colors" {
  export function bold(text: string): string;
  export function dim(text: string): string;
  export function green(text: string): string;
  export function red(text: string): string;
  export function yellow(text: string): string;
  export function cyan(text: string): string;
  export function setColorEnabled(enabled: boolean): void;
}

declare module "@std/path" {
  export function join(...parts: string[]): string;
  export function resolve(...parts: string[]): string;
  export function relative(from: string, to: string): string;
  export function basename(path: string, suffix?: string): string;
  export function dirname(path: string): string;
  export function extname(path: string): string;
  export function isAbsolute(path: string): boolean;
  export function fromFileUrl(url: string | URL): string;
  export function toFileUrl(path: string): URL;
}

declare module "@std/async/pool" {
  /** Maps with at most `limit` calls under way; yields results in the order of the input. */
  export function pooledMap<T, R>(
    limit: number,
    array: Iterable<T> | AsyncIterable<T>,
    fn: (item: T) => Promise<R>,
  ): AsyncIterableIterator<R>;
}

declare module "@std/assert" {
  export function assert(value: unknown, message?: string): asserts value;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    message?: string,
  ): asserts actual is T;
  export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
  export function assertMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertStringIncludes(actual: string, expected: string, message?: string): void;
  export function assertGreater<T>(actual: T, expected: T, message?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertLess<T>(actual: T, expected: T, message?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertArrayIncludes<T>(
    actual: ArrayLike<T>,
    expected: ArrayLike<T>,
    message?: string,
  ): void;
  export function assertInstanceOf<T>(
    actual: unknown,
    // deno-lint-ignore no-explicit-any
    expected: abstract new (...args: any[]) => T,
    message?: string,
  ): asserts actual is T;
  // deno-lint-ignore no-explicit-any
  type ErrorClass<E extends Error> = new (...args: any[]) => E;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    errorClass?: ErrorClass<E>,
    includes?: string,
    message?: string,
  ): E;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    errorClass?: ErrorClass<E>,
    includes?: string,
    message?: string,
  ): Promise<E>;
  export function fail(message?: string): never;
  export function unreachable(reason?: string): never;
}
