import { assertEquals } from "@std/assert";
import { ARE_BINARIES, e2e } from "./helpers.ts";

e2e("the demo succeeds", async (world) => {
  const { code, stdout, stderr } = await world.run("demo", []);
  assertEquals(code, 0, stdout + stderr);
}, { ignore: ARE_BINARIES && "the demo is not compiled" });
