import { assertEquals, assertRejects } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { ByteReader, type ByteSource } from "../../../lib/wire/byte_reader.ts";
import { play } from "../../testdata/golden_frames.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function line(reader: ByteReader, max = 1000): Promise<string | null> {
  const bytes = await reader.readLine(max);
  return bytes === null ? null : decoder.decode(bytes);
}

async function block(reader: ByteReader, length: number): Promise<string> {
  const bytes = new Uint8Array(length);
  await reader.readExactly(bytes);
  return decoder.decode(bytes);
}

async function assertCode(code: string, call: () => Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(call, P2PError)).code, code);
}

/** The same bytes from sources of every kind: all at once, byte by byte, uneven. */
const SOURCES: Record<string, (bytes: Uint8Array) => ByteSource> = {
  "at once": (bytes) => play(bytes),
  "byte by byte": (bytes) => play(bytes, [1]),
  "uneven": (bytes) => play(bytes, [3, 1, 7, 2]),
};

for (const [kind, source] of Object.entries(SOURCES)) {
  const readerOf = (text: string) => new ByteReader(source(encoder.encode(text)));

  Deno.test(`ByteReader takes lines and blocks (${kind})`, async () => {
    const reader = readerOf("one\n\nabcdefthree\n12345678last\n");
    assertEquals(await line(reader), "one");
    assertEquals(await line(reader), "");
    assertEquals(await block(reader, 6), "abcdef");
    assertEquals(await line(reader), "three");
    await reader.skip(8);
    assertEquals(await line(reader), "last");
    assertEquals(await line(reader), null);
    assertEquals(await line(reader), null);
  });

  Deno.test(`ByteReader tells an end inside from an end between (${kind})`, async () => {
    await assertCode("connection-lost", () => line(readerOf("no end")));
    await assertCode("connection-lost", () => block(readerOf("1234"), 5));
    await assertCode("connection-lost", () => block(readerOf(""), 1));
    await assertCode("connection-lost", () => readerOf("1234").skip(5));
    const reader = readerOf("line\n123");
    assertEquals(await line(reader), "line");
    await assertCode("connection-lost", () => block(reader, 4));
  });

  Deno.test(`ByteReader takes a line of exactly the cap and none longer (${kind})`, async () => {
    const reader = readerOf("12345\n123456\n");
    assertEquals(await line(reader, 5), "12345");
    await assertCode("too-long", () => line(reader, 5));
    await assertCode("too-long", () => line(readerOf("123456"), 5));
    await assertCode("connection-lost", () => line(readerOf("12345"), 5));
  });

  Deno.test(`ByteReader grows for long lines and keeps what follows (${kind})`, async () => {
    const long = "x".repeat(5000);
    const reader = readerOf(`short\n${long}\n${long}tail\n`);
    assertEquals(await line(reader, 5000), "short");
    assertEquals(await line(reader, 5000), long);
    assertEquals(await block(reader, 5000), long);
    assertEquals(await line(reader), "tail");
    assertEquals(await line(reader), null);
  });

  Deno.test(`ByteReader skips more than its buffer holds (${kind})`, async () => {
    const reader = readerOf(`a\n${"x".repeat(3000)}b\n`);
    assertEquals(await line(reader), "a");
    await reader.skip(3000);
    await reader.skip(0);
    assertEquals(await line(reader), "b");
  });

  Deno.test(`ByteReader shows the next byte and leaves it there (${kind})`, async () => {
    const reader = readerOf("a\nbc");
    for (let i = 0; i < 2; i++) assertEquals(await reader.peek(), 0x61);
    assertEquals(await line(reader), "a");
    assertEquals(await reader.peek(), 0x62);
    assertEquals(await block(reader, 2), "bc");
    for (let i = 0; i < 2; i++) assertEquals(await reader.peek(), null);
    assertEquals(await line(reader), null);
  });
}

for (const bufferSize of [1, 16, 4096]) {
  Deno.test(`ByteReader changes its buffer in mid-line, to ${bufferSize} bytes`, async () => {
    const text = "\nfirst\nsecond line\nbody";
    for (let split = 1; split < text.length; split++) {
      for (const rest of [[text.length], [1], [3, 1, 7, 2]]) {
        const reader = new ByteReader(play(encoder.encode(text), [split, ...rest]));
        assertEquals(await line(reader), "");
        // The rest of the first part is in the buffer now.
        reader.bufferSize = bufferSize;
        assertEquals(await line(reader), "first");
        assertEquals(await line(reader), "second line");
        assertEquals(await block(reader, 4), "body");
        assertEquals(await line(reader), null);
      }
    }
  });
}

Deno.test("ByteReader changes its buffer while it waits for the rest of a line", async () => {
  const late = Promise.withResolvers<void>();
  const source = play(encoder.encode("first\nsecond\n"), [9]);
  const reader = new ByteReader({
    async read(into) {
      if (source.reads > 0) await late.promise;
      return await source.read(into);
    },
  });
  assertEquals(await line(reader), "first");
  const reading = line(reader);
  reader.bufferSize = 4096;
  late.resolve();
  assertEquals(await reading, "second");
});

Deno.test("ByteReader reads into a buffer of the size that it was given", async () => {
  const source = play(encoder.encode("short\n".repeat(1000)));
  const reader = new ByteReader(source);
  await line(reader);
  assertEquals(source.largest, 1024);
  reader.bufferSize = 4096;
  await reader.skip(2000);
  assertEquals(source.largest, 4096);
});

Deno.test("ByteReader fills the given memory at its offset", async () => {
  const reader = new ByteReader(play(encoder.encode("abcdef"), [2]));
  const memory = new Uint8Array(8);
  await reader.readExactly(memory.subarray(1, 7));
  assertEquals(decoder.decode(memory), "\0abcdef\0");
});

Deno.test("ByteReader reads large blocks past its own buffer", async () => {
  const source = play(new Uint8Array(100_000));
  await new ByteReader(source).readExactly(new Uint8Array(100_000));
  assertEquals(source.largest, 100_000);
});

Deno.test("ByteReader stops reading one buffer after the cap of a line", async () => {
  const source = play(new Uint8Array(1_000_000).fill(0x78));
  await assertCode("too-long", () => new ByteReader(source).readLine(65536));
  assertEquals(source.largest <= 2 * 65536, true);
});

Deno.test("ByteReader passes on what the source throws", async () => {
  const broken: ByteSource = { read: () => Promise.reject(new Deno.errors.ConnectionReset("rst")) };
  await assertRejects(() => new ByteReader(broken).readLine(10), Deno.errors.ConnectionReset);
});
