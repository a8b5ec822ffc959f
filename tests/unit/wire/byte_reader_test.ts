import { assertEquals, assertRejects } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { ByteReader, type ByteSource } from "../../../lib/wire/byte_reader.ts";
import { detaching, play } from "../../testdata/golden_frames.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function line(reader: ByteReader, max = 1000): Promise<string | null> {
  const bytes = await reader.readLine(max);
  return bytes === null ? null : decoder.decode(bytes);
}

async function block(reader: ByteReader, length: number): Promise<string> {
  return decoder.decode(await reader.readExactly(new Uint8Array(length)));
}

async function assertCode(code: string, call: () => Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(call, P2PError)).code, code);
}

/** The same bytes from sources of every kind: all at once, byte by byte, uneven, detaching. */
const SOURCES: Record<string, (bytes: Uint8Array) => ByteSource> = {
  "at once": (bytes) => play(bytes),
  "byte by byte": (bytes) => play(bytes, [1]),
  "uneven": (bytes) => play(bytes, [3, 1, 7, 2]),
  "detaching": (bytes) => detaching(play(bytes)),
  "detaching, byte by byte": (bytes) => detaching(play(bytes, [1])),
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

  for (const bufferSize of [1, 16, 4096]) {
    Deno.test(`ByteReader changes its source in mid-line, buffer ${bufferSize} (${kind})`, async () => {
      const text = "\nfirst\nsecond line\nbody";
      for (let split = 1; split < text.length; split++) {
        const reader = new ByteReader(play(encoder.encode(text.slice(0, split))));
        assertEquals(await line(reader), "");
        // The rest of the first part is in the buffer now.
        assertEquals(reader.buffered, split - 1);
        reader.setSource(source(encoder.encode(text.slice(split))), bufferSize);
        assertEquals(await line(reader), "first");
        assertEquals(await line(reader), "second line");
        assertEquals(await block(reader, 4), "body");
        assertEquals(reader.buffered, 0);
        assertEquals(await line(reader), null);
      }
    });
  }
}

Deno.test("ByteReader fills the given memory at its offset", async () => {
  const reader = new ByteReader(play(encoder.encode("abcdef"), [2]));
  const memory = new Uint8Array(8);
  const filled = await reader.readExactly(memory.subarray(1, 7));
  assertEquals(filled.buffer, memory.buffer);
  assertEquals(decoder.decode(memory), "\0abcdef\0");
});

Deno.test("ByteReader gives the memory back at the same offset when the source moves it", async () => {
  const reader = new ByteReader(detaching(play(encoder.encode("abcdef"), [2])));
  const memory = new Uint8Array(8);
  const filled = await reader.readExactly(memory.subarray(1, 7));
  assertEquals(memory.buffer.detached, true);
  assertEquals([filled.byteOffset, filled.buffer.byteLength], [1, 8]);
  assertEquals(decoder.decode(filled), "abcdef");
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
