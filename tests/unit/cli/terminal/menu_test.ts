import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { PassThrough } from "node:stream";
import { Menu, MENU_PROMPT, type MenuActions } from "../../../../lib/cli/terminal/menu.ts";
import { ExitCode, P2PError } from "../../../../lib/errors.ts";
import { FakeOutput, FakeSink, streamOf } from "../fakes.ts";

/** Actions that note their calls. */
function fakeActions(calls: string[], overrides: Partial<MenuActions> = {}): MenuActions {
  const note = (call: string) => {
    calls.push(call);
    return Promise.resolve();
  };
  return {
    ping: (target) => note(`ping ${target}`),
    broadcast: (text) => note(`broadcast ${text}`),
    sendFile: (name, recipients) => note(`sendfile ${name} [${recipients}]`),
    peers: () => note("peers"),
    history: () => note("history"),
    dataFiles: () => Promise.resolve(["a.csv", "b\x1b.csv"]),
    peerNames: () => [],
    ...overrides,
  };
}

async function runScript(script: string, overrides: Partial<MenuActions> = {}) {
  const calls: string[] = [];
  const sink = new FakeSink();
  const output = new FakeOutput();
  const menu = new Menu({ sink, script: streamOf(script) });
  assert(!menu.interactive);
  const end = await menu.run(fakeActions(calls, overrides), { output });
  return { calls, end, output, text: sink.text };
}

Deno.test("A script runs line by line until its end", async () => {
  const { calls, end, text } = await runScript(
    "peers\r\n\nping tv\nsendfile\nbroadcast gr\u00fc\u00dfe\nhelp\nsendfile 'a b' tv all",
  );
  assertEquals(calls, ["peers", "ping tv", "broadcast gr\u00fc\u00dfe", "sendfile a b [tv,all]"]);
  assertEquals(end, { how: "end-of-input", exitCode: ExitCode.done });
  assertStringIncludes(text, "Files in the data folder:\n  a.csv\n  b\\x1b.csv\n");
  assertStringIncludes(text, "sendfile <filename> [peer...|all]  send a file");
  assert(!text.includes("Enter command"));
});

Deno.test("A script answers what ping alone asks, as it was with the original", async () => {
  const { calls } = await runScript("ping\n127.0.0.1\n5001\npeers\n");
  assertEquals(calls, ["ping 127.0.0.1:5001", "peers"]);
});

Deno.test("exit ends a script", async () => {
  const { calls, end } = await runScript("peers\nexit\nhistory\n");
  assertEquals(calls, ["peers"]);
  assertEquals(end, { how: "exit", exitCode: ExitCode.done });
});

Deno.test("A script goes on after an error and ends with the exit code of the first", async () => {
  const { calls, end, output } = await runScript("ping tv\nfly\npeers\n", {
    ping: () =>
      Promise.reject(new P2PError("peer-unknown", "Cannot ping tv", { candidates: ["a", "b"] })),
  });
  assertEquals(calls, ["peers"]);
  assertEquals(end, { how: "end-of-input", exitCode: ExitCode.peerUnreachable });
  assertEquals(output.events[0], {
    event: "error",
    code: "peer-unknown",
    message: "Cannot ping tv",
    candidates: ["a", "b"],
  });
  assertEquals(output.events.map(({ event }) => event), ["error", "error"]);
});

Deno.test("Commands of a script wait for each other", async () => {
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = runScript("sendfile a tv\npeers\n", {
    sendFile: async () => {
      order.push("start");
      await promise;
      order.push("end");
    },
    peers: () => Promise.resolve(void order.push("peers")),
  });
  resolve();
  await run;
  assertEquals(order, ["start", "end", "peers"]);
});

Deno.test("Nobody can be asked in a script", async () => {
  const menu = new Menu({ sink: new FakeSink(), script: streamOf("") });
  const error = await assertRejects(() => menu.ask("Who? "), P2PError, "Cannot ask 'Who?'");
  assertEquals(error.exitCode, ExitCode.usage);
});

Deno.test("An abort ends a script, also while a command runs and input is to come", async () => {
  for (const text of ["", "sendfile a tv\n"]) {
    let cancelled = false;
    const script = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => void (text && controller.enqueue(new TextEncoder().encode(text))),
      cancel: () => void (cancelled = true),
    });
    const controller = new AbortController();
    const menu = new Menu({ sink: new FakeSink(), script });
    const sendFile = () => {
      controller.abort();
      return new Promise<void>(() => {});
    };
    const actions = fakeActions([], { sendFile });
    const run = menu.run(actions, { output: new FakeOutput(), signal: controller.signal });
    if (text === "") controller.abort();
    assertEquals((await run).how, "aborted");
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert(cancelled, "standard input is let go");
  }
});

/** A menu at a terminal; `type` types and lets everything that follows from it happen. */
function terminal(overrides: Partial<MenuActions> = {}, signal?: AbortSignal) {
  const calls: string[] = [];
  const sink = new FakeSink(true);
  const output = new FakeOutput();
  const keys = new PassThrough();
  const menu = new Menu({ sink, keys });
  const end = menu.run(fakeActions(calls, overrides), signal ? { output, signal } : { output });
  const type = async (text: string) => {
    // One key at a time: readline takes a Tab within a burst of characters for pasted text.
    for (const key of text) {
      keys.write(key);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  return { calls, sink, output, menu, end, type };
}

Deno.test("A terminal sees the prompt, and commands run side by side", async () => {
  const first = Promise.withResolvers<void>();
  const { calls, sink, end, type } = terminal({ sendFile: () => first.promise });
  await type("");
  assertStringIncludes(sink.take(), MENU_PROMPT);
  await type("sendfile a tv\rpeers\r");
  assertEquals(calls, ["peers"]);
  first.resolve();
  await type("exit\r");
  assertEquals(await end, { how: "exit", exitCode: ExitCode.done });
});

Deno.test("What is printed goes above the line being typed, which may fill several rows", async () => {
  const { sink, menu, end, type } = terminal();
  await type("broadcast " + "x".repeat(100));
  sink.take();
  menu.over(sink).write("news\n");
  const text = sink.take();
  // The prompt has 70 columns, so the cursor is two rows below it.
  assert(text.startsWith("\x1b[2A\r\x1b[Jnews\n"), JSON.stringify(text));
  const [, redrawn = ""] = text.split("news\n");
  const above = redrawn.slice(0, redrawn.indexOf("Enter"));
  assert(!above.includes("A"), "the redraw does not go up over the news");
  assertStringIncludes(redrawn, `${MENU_PROMPT}broadcast ${"x".repeat(100)}`);
  await type("\x15\x04");
  assertEquals((await end).how, "end-of-input");
  sink.take();
  menu.over(sink).write("later\n");
  assertEquals(sink.take(), "later\n");
});

Deno.test("A question keeps what was being typed, and is no part of the history", async () => {
  const { calls, sink, menu, end, type } = terminal();
  await type("peers\rhis");
  sink.take();
  const answer = menu.ask("Who? ");
  await type("");
  assertStringIncludes(sink.take(), "Who? ");
  await type(" tv \r");
  assertEquals(await answer, "tv");
  await type("tory\r");
  await type("\x1b[A\x1b[A\r\x04");
  await end;
  assertEquals(calls, ["peers", "history", "peers"]);
});

Deno.test("A question that is withdrawn leaves what was being typed, and the next one", async () => {
  const { calls, sink, menu, end, type } = terminal();
  await type("pe");
  const [first, second] = [new AbortController(), new AbortController()];
  const withdrawn = assertRejects(() => menu.ask("First? ", first.signal), P2PError);
  const answered = menu.ask("Second? ");
  const never = assertRejects(() => menu.ask("Third? ", second.signal), P2PError);
  await type("");
  await type("y");
  second.abort();
  await never;
  sink.take();
  first.abort();
  await withdrawn;
  await type("");
  const shown = sink.take();
  assertStringIncludes(shown, "Second? ");
  assert(!shown.includes("Third?"));
  await type("n\r");
  assertEquals(await answered, "n");
  // The cursor goes to its column in between.
  assert(sink.take().endsWith("exit): \x1b[71Gpe"));
  await assertRejects(() => menu.ask("Late? ", first.signal), P2PError);
  await type("ers\r\x04");
  await end;
  assertEquals(calls, ["peers"]);
});

Deno.test("A question may come before the menu runs", async () => {
  const sink = new FakeSink(true);
  const keys = new PassThrough();
  const menu = new Menu({ sink, keys });
  const answer = menu.ask("Who? ");
  const end = menu.run(fakeActions([]), { output: new FakeOutput() });
  while (!sink.text.includes("Who? ")) await new Promise((resolve) => setTimeout(resolve, 0));
  keys.write("tv\r");
  assertEquals(await answer, "tv");
  keys.write("\x04");
  await end;
});

Deno.test("ping asks for address and port", async () => {
  const { calls, sink, output, end, type } = terminal();
  await type("ping\r10.0.0.1\r5001\rping\rhost\rnone\r");
  assertEquals(calls, ["ping 10.0.0.1:5001"]);
  assertMatch(sink.text, /Enter the address of the peer: .*Enter the port of the peer: /s);
  const [error] = output.events;
  assert(error?.event === "error" && error.message.includes("'none' is not a port"));
  await type("\x04");
  await end;
});

Deno.test("Tab completes commands and files", async () => {
  const dataFiles = () => Promise.resolve(["my file.csv"]);
  const { calls, end, type } = terminal({ dataFiles });
  await type("sendf\tmy\ttv\r\x04");
  await end;
  assertEquals(calls, ["sendfile my file.csv [tv]"]);
});

Deno.test("Ctrl-C and an abort end a terminal's menu; open questions fail", async () => {
  const interrupted = terminal();
  await interrupted.type("half a li\x03");
  assertEquals((await interrupted.end).how, "interrupted");
  const controller = new AbortController();
  const aborted = terminal({}, controller.signal);
  const question = assertRejects(() => aborted.menu.ask("Who? "), P2PError, "the menu ended");
  controller.abort();
  await question;
  assertEquals(await aborted.end, { how: "aborted", exitCode: ExitCode.done });
});
