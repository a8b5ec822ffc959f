import { assertEquals } from "@std/assert";
import type { AppEvent } from "../../../lib/events.ts";
import { History, HistoryWriter } from "../../../lib/peer/history.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

permitted(
  "a history that cannot be written is said once, and what follows is written when it can",
  [
    "read",
    "write",
  ],
  async () => {
    await using dir = await tempDir();
    const history = new History(dir.at("peers"));
    const events: AppEvent[] = [];
    const writer = new HistoryWriter(history, () => "anna", (event) => void events.push(event));
    const entry = {
      direction: "send",
      name: "f",
      size: 1,
      peer: "bob",
      state: "delivered",
    } as const;
    await Deno.mkdir(history.path, { recursive: true });
    for (const at of ["1", "2"]) await writer.add({ ...entry, at });
    assertEquals(events, [{
      event: "notice",
      message: `Cannot write ${history.path}: it is a folder; ` +
        "check its owner and mode, or choose --state",
    }]);
    // Also when the folder around it is gone.
    await Deno.remove(dir.at("peers"), { recursive: true });
    await writer.add({ ...entry, at: "3" });
    assertEquals(JSON.parse(await Deno.readTextFile(history.path)), {
      ...entry,
      at: "3",
      as: "anna",
    });
  },
);
