import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  addressOf,
  type CommandLine,
  isOn,
  numberOf,
  parseCommandLine,
  type ParsedCommand,
  textOf,
} from "../../../../lib/cli/arguments/arguments.ts";
import { PEER_PROGRAM, TRACKER_PROGRAM } from "../../../../lib/cli/arguments/programs.ts";
import type { ProgramSpec } from "../../../../lib/cli/arguments/spec.ts";
import { parseAddress } from "../../../../lib/cli/arguments/value.ts";
import { ExitCode, P2PError } from "../../../../lib/errors.ts";

function parse(
  argv: string[],
  env: Record<string, string> = {},
  program: ProgramSpec = PEER_PROGRAM,
): CommandLine {
  return parseCommandLine(program, argv, (name) => env[name]);
}

function command(argv: string[], env: Record<string, string> = {}): ParsedCommand {
  const parsed = parse(argv, env);
  assert("command" in parsed);
  return parsed;
}

Deno.test("The command comes first, the default one without it", () => {
  const table: [argv: string[], name: string, positionals: string[]][] = [
    [[], "menu", []],
    [["--name", "desk"], "menu", []],
    [["run"], "run", []],
    [["send", "a", "b"], "send", ["a", "b"]],
    [["--json", "send", "a"], "send", ["a"]],
    [["--to", "x", "send", "a"], "send", ["a"]],
    [["send", "1.0", "007", "1e3", "0x10"], "send", ["1.0", "007", "1e3", "0x10"]],
    [["send", "-"], "send", ["-"]],
    [["send", "--", "--to", "-h"], "send", ["--to", "-h"]],
    [["broadcast", "--json", "true"], "broadcast", ["true"]],
    [["broadcast", "a b", "c"], "broadcast", ["a b", "c"]],
    [["send", "help"], "send", ["help"]],
    [["send", "__proto__", "a=b"], "send", ["__proto__", "a=b"]],
  ];
  for (const [argv, name, positionals] of table) {
    const parsed = command(argv);
    assertEquals([parsed.command, parsed.positionals], [name, positionals], argv.join(" "));
  }
});

Deno.test("Values are typed, and the last of a repeated flag counts", () => {
  const { values } = command([
    "send",
    "x",
    "--to=laptop,desk=1",
    "--ack-timeout",
    "2m",
    "--parallel",
    "7",
    "--port=1",
    "--port",
    "2",
    "--tracker",
    "[::1]:6000",
    "--limit-rate",
    "1.5G",
    "--join",
    "-",
    "--json",
  ]);
  assertEquals(textOf(values, "to"), "laptop,desk=1");
  assertEquals(numberOf(values, "ack-timeout"), 120);
  assertEquals(numberOf(values, "parallel"), 7);
  assertEquals(numberOf(values, "port"), 2);
  assertEquals(addressOf(values, "tracker"), { host: "::1", port: 6000 });
  assertEquals(numberOf(values, "limit-rate"), 1.5 * 1024 ** 3);
  assertEquals(textOf(values, "join"), "-");
  assert(isOn(values, "json"));
  assert(!isOn(values, "quiet"));
  assertEquals(textOf(values, "name"), undefined);
});

Deno.test("The flag wins over the environment, which wins over the default", () => {
  const env = { P2P_TRACKER: "env:1", P2P_JSON: "1", P2P_QUIET: "0", P2P_NAME: "" };
  const flag = command(["peers", "--tracker", "flag:2"], env);
  assertEquals(addressOf(flag.values, "tracker"), { host: "flag", port: 2 });
  const inherited = command(["peers"], env);
  assertEquals(addressOf(inherited.values, "tracker"), { host: "env", port: 1 });
  assert(inherited.explicit.has("tracker"));
  assert(isOn(inherited.values, "json"));
  assert(!isOn(inherited.values, "quiet"));
  assert(!inherited.explicit.has("name"), "an empty variable is none");
  const plain = command(["peers"]);
  assertEquals(addressOf(plain.values, "tracker"), { host: "localhost", port: 5000 });
  assertEquals([...plain.explicit], []);
});

Deno.test("What can't be used is named, with the remedy", () => {
  const table: [argv: string[], parts: string[]][] = [
    [["sned", "x"], ["Cannot run peer sned", "did you mean send?"]],
    [["frobnicate"], ["unknown", "use one of menu, run"]],
    [["constructor"], ["unknown"]],
    [["--trakcer", "x:1"], ["--trakcer", "did you mean --tracker?"]],
    [["--zzzzzzzzz=1"], ["Cannot use --zzzzzzzzz:", "peer --help"]],
    [["--no-json"], ["--no-json"]],
    [["--__proto__=1"], ["--__proto__"]],
    [["-x"], ["-x"]],
    // As an id may begin, and what argument parsers take for names of their own.
    [["ping", "-_Zk3-constructor"], ["-_Zk3-constructor", "write -- before"]],
    [["ping", "--_"], ["--_:"]],
    [["ping", "--_=1"], ["--_:"]],
    [["ping", "---"], ["---"]],
    [["peers", "--to", "x"], ["--to with peer peers", "belongs to peer send"]],
    [["send"], ["path is missing", "usage: peer send <path>"]],
    [["ping"], ["the peer or host:port is missing"]],
    [["ping", "a", "b"], ["'b' is one too many"]],
    [["run", "x\x1b[2J"], ["'x\\x1b[2J' is one too many"]],
    [["--name"], ["--name", "missing", "--name NAME"]],
    [["--name", "--json"], ["--name", "missing"]],
    [["--name", "-h"], ["--name", "missing"]],
    [["--port", "-1"], ["--port", "'-1' is not a whole number from 0 to 65535"]],
    [["--max-size", "-10G"], ["--max-size", "'-10G' is not a size"]],
    [["--keep-partials", "-5"], ["--keep-partials", "'-5' is not a time"]],
    [["--keep-partials", "597h"], ["--keep-partials", "'597h' is too long; write 596h or less"]],
    [["broadcast", "-5 degrees"], ["-5 degrees", "write -- before what is no flag"]],
    [["send", "x", "--data", "d"], ["--data with peer send", "belongs to peer menu"]],
    [["--name="], ["--name", "empty"]],
    [["--json=1"], ["--json takes no value"]],
    [["--port", "70000"], ["--port", "'70000'", "from 0 to 65535"]],
    [["--port", "1e3"], ["'1e3' is not a whole number"]],
    [["--tracker", "a:b:c"], ["'a:b:c' is not an address", "host:port"]],
    [["--tracker", "host:0"], ["not an address"]],
    [["--max-size", "10 apples"], ["not a size", "10G"]],
    [["--max-size", "9999999P"], ["not a size"]],
    [["--limit-rate", "100"], ["too little", "1024"]],
    [["send", "x", "--ack-timeout", "0"], ["not a time"]],
    [["send", "x", "--parallel", "0"], ["from 1 to 1024"]],
  ];
  for (const [argv, parts] of table) {
    const error = assertThrows(() => parse(argv), P2PError, "", argv.join(" "));
    assertEquals(error.exitCode, ExitCode.usage);
    for (const part of parts) assertStringIncludes(error.message, part);
  }
  const error = assertThrows(() => parse([], { P2P_PEER_PORT: "no" }), P2PError);
  assertStringIncludes(error.message, "Cannot use P2P_PEER_PORT: 'no' is not");
});

Deno.test("Addresses", () => {
  assertEquals(parseAddress("laptop"), { host: "laptop", port: null });
  assertEquals(parseAddress("10.0.0.1:80"), { host: "10.0.0.1", port: 80 });
  assertEquals(parseAddress("::1"), { host: "::1", port: null });
  assertEquals(parseAddress("[fe80::1%eth0]"), { host: "fe80::1%eth0", port: null });
  for (const bad of ["", ":80", "a b", "a/b:1", "user@host", "host:65536", "[x]:1", "host:"]) {
    assertEquals(parseAddress(bad), null, bad);
  }
});

Deno.test("Help and version are asked for in many ways", () => {
  const whole = parse(["--help"]);
  assertEquals(parse(["-h"]), whole);
  assertEquals(parse(["help"]), whole);
  const send = parse(["send", "--help"]);
  assertEquals(parse(["help", "send"]), send);
  assertEquals(parse(["send", "-h", "--port", "x"]), send);
  assertEquals(parse(["--version"]), { version: true });
  assertEquals(parse(["--version", "run"], {}, TRACKER_PROGRAM), { version: true });
});
