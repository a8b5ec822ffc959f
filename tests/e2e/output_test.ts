import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { e2e, namesIn } from "./helpers.ts";

const HOSTILE = "evil\x1b[2J\u202egnp.\u200bexe\x07";
/** What a terminal would act on, or not show. */
// deno-lint-ignore no-control-regex
const UNSAFE = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f]/;

e2e("hostile file names and messages are escaped in every output", async (world) => {
  await world.tracker();
  const received = world.path("in");
  const args = ["run", "--received", received, "--name"];
  const text = await world.start("peer", [...args, "text"]);
  await text.untilText((shown) => shown.includes("Registered"));
  const json = await world.peer("in2", ["--name", "json"]);

  const message = `one${HOSTILE}\ntwo\r\nerror: three`;
  const broadcast = await world.run("peer", ["broadcast", message]);
  assertEquals(broadcast.code, 0);
  await text.untilText((shown) => shown.includes("error: three"));
  // Later lines are set in: a text cannot pose as an event.
  assertStringIncludes(text.stdout, "\n  two\n  error: three\n");
  assertEquals((await json.program.until("message")).text, message);

  const { path } = await world.file(`a\n${HOSTILE}`, 10);
  const send = await world.run("peer", ["send", path, "--to", "text,json"]);
  assertEquals(send.code, 0);
  await text.untilText((shown) => shown.includes("SHA-256"));
  const { path: kept } = await json.program.until("file-received");
  assertEquals(await namesIn(json.received), [".partial", kept.slice(json.received.length + 1)]);
  const missing = await world.run("peer", ["send", `missing${HOSTILE}`, "--to", "text"]);
  const unknown = await world.run("peer", ["ping", `nobody${HOSTILE}`]);
  const wrong = await world.run("peer", [`--${HOSTILE}`]);
  assertEquals([missing.code, unknown.code, wrong.code], [8, 4, 2]);
  const history = await world.run("peer", ["history"]);
  assertStringIncludes(history.stdout, "\\x1b[2J");

  for (const { stdout, stderr } of [text, json.program, send, missing, unknown, wrong, history]) {
    for (const shown of [stdout, stderr]) assert(!UNSAFE.test(shown), JSON.stringify(shown));
  }
  assertStringIncludes(send.stdout, "\\x1b[2J\\u{202e}gnp.\\u{200b}exe\\x07");
  for (const name of await namesIn(received)) assert(!UNSAFE.test(name), JSON.stringify(name));
  assertEquals(await Deno.stat(join(received, "evil")).catch(() => null), null);
});
