import { seedRandomNumbers } from "./lib/net/seed.ts";

if (import.meta.main) {
  seedRandomNumbers();
  const { runPeer } = await import("./lib/app/peer_app.ts");
  Deno.exit(await runPeer(Deno.args));
}
