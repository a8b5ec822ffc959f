import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { asP2PError, isSilence, P2PError, reasonOf } from "../../lib/errors.ts";
import { permitted } from "../helpers/permissions.ts";

/** Texts that only Deno, the operating system or a library writes. */
const FOREIGN = /os error|https?:\/\/|--allow|op_|lookup address|position \d|Deno\.|\(line \d/;

/** What is thrown by `act`. */
async function thrownBy(act: () => unknown): Promise<unknown> {
  try {
    await act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

permitted("No words of Deno or of the system reach people", ["read", "write", "net"], async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/file`;
  await Deno.writeTextFile(file, "");
  await Deno.symlink(`${folder}/loop`, `${folder}/loop`);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const table: [reason: string, act: () => unknown][] = [
    ["there is no such file or folder", () => Deno.open(`${folder}/none`)],
    ["it is a folder", () => Deno.writeTextFile(folder, "")],
    ["it is no folder, or a part of its path is none", () => Deno.mkdir(`${file}/x`)],
    ["something of that name is there already", () => Deno.mkdir(file)],
    ["the folder is not empty", () => Deno.remove(folder)],
    ["the name is too long for this disk", () => Deno.stat(`${folder}/${"x".repeat(300)}`)],
    ["there are too many symbolic links in its path", () => Deno.stat(`${folder}/loop`)],
    ["no address is known for that name", () => Deno.connect({ hostname: "no.invalid", port: 1 })],
    ["it is neither a name nor an address", () => Deno.listen({ hostname: "no name", port: 0 })],
    ["the port is in use", () => Deno.listen({ hostname: "127.0.0.1", port })],
    [
      "it is no address of this machine, or not yet",
      () => Deno.listen({ hostname: "192.0.2.1", port: 0 }),
    ],
    ["it is not valid JSON", () => JSON.parse("{x")],
    ["something unexpected happened (TypeError)", () => (null as unknown as () => void)()],
  ];
  try {
    for (const [reason, act] of table) {
      const error = await thrownBy(act);
      assertEquals(reasonOf(error), reason);
      // What nobody foresaw is said in our words as well; the error itself goes along.
      const whole = asP2PError(error);
      assert(!FOREIGN.test(whole.message), whole.message);
      assertMatch(whole.message, /^Cannot go on: .*; P2P_DEBUG=1 shows more/);
      assertEquals(whole.cause, error);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("The reason of an error of ours is its text, also inside of an AggregateError", () => {
  const own = new P2PError("disk", "Cannot save: the disk is full");
  assertEquals(reasonOf(own), own.message);
  assertEquals(reasonOf(new AggregateError([own, new Error("x")], "All failed")), own.message);
  assertEquals(asP2PError(own), own);
});

Deno.test("The end of a TLS connection without a goodbye is said without the library's page", () => {
  const text = "peer closed connection without sending TLS close_notify: " +
    "https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof";
  const reason = reasonOf(new Deno.errors.UnexpectedEof(text));
  assertEquals(reason, "the other side ended it without a goodbye");
  assert(!FOREIGN.test(reason));
  const device = new Deno.errors.NotCapable(
    'Requires all access to "/dev/shm/x", specify the required permissions during compilation',
  );
  assertStringIncludes(reasonOf(device), "this program may not open devices");
  const folder = new Deno.errors.InvalidData(
    'File name or path "/home/you/caf\\xE9" is not valid UTF-8',
  );
  assertEquals(reasonOf(folder), "a name in its path is not UTF-8; rename it");
});

Deno.test("Nobody has answered when a dial ended in silence, and somebody when it was refused", () => {
  const system = (code: string) => Object.assign(new Error("system"), { code });
  const unreached = (cause: unknown) =>
    new P2PError(
      "peer-unreachable",
      "all ways",
      { cause: new P2PError("peer-unreachable", "one way", { cause }) },
    );
  const silent = [
    new P2PError("timeout", "no answer in time"),
    new P2PError("peer-unreachable", "it did not dial"),
    unreached(system("EHOSTUNREACH")),
    unreached(system("ENETUNREACH")),
  ];
  const answered = [
    unreached(system("ECONNREFUSED")),
    new P2PError("timeout", "said by the other side", { remote: true }),
    new P2PError("wrong-key", "another key"),
    new P2PError("connection-lost", "broken off"),
  ];
  assertEquals(silent.map(isSilence), silent.map(() => true));
  assertEquals(answered.map(isSilence), answered.map(() => false));
});
