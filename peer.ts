import "./lib/net/seed.ts";
import { runPeer } from "./lib/app/peer_app.ts";

if (import.meta.main) Deno.exit(await runPeer(Deno.args));
