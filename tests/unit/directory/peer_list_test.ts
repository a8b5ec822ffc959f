import { assertEquals } from "@std/assert";
import { PeerList } from "../../../lib/directory/peer_list.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { entryOf, idOf } from "../../helpers/entries.ts";

const [EPOCH, OTHER] = ["e1", "e2"];

function frame(changes: Partial<MessageOf<"PEER_LIST">>): MessageOf<"PEER_LIST"> {
  return {
    verb: "PEER_LIST",
    epoch: EPOCH,
    revision: 1,
    full: false,
    more: false,
    peers: [],
    gone: [],
    barred: [],
    ...changes,
  };
}

function names(list: PeerList): string[] {
  return list.entries.map(({ name }) => name).sort();
}

Deno.test("a list starts from nothing and says where it is", () => {
  const list = new PeerList();
  assertEquals([list.position, list.entries], [{ since: 0 }, []]);
  list.apply(frame({ full: true, revision: 7 }));
  assertEquals(list.position, { since: 7, epoch: EPOCH });
});

Deno.test("joined, changed and left are told apart", () => {
  const list = new PeerList();
  const first = list.apply(frame({ full: true, peers: [entryOf(1), entryOf(2)] }));
  assertEquals(first, { joined: [entryOf(1), entryOf(2)], changed: [], left: [], barred: [] });
  const moved = entryOf(1, { port: 6000 });
  const second = list.apply(
    frame({ revision: 2, peers: [moved, entryOf(3)], gone: [idOf(2), idOf(9)] }),
  );
  assertEquals(second, { joined: [entryOf(3)], changed: [moved], left: [entryOf(2)], barred: [] });
  const again = list.apply(frame({ revision: 3, peers: [moved] }));
  assertEquals(again, { joined: [], changed: [], left: [], barred: [] });
  assertEquals([list.get(idOf(1)), list.get(idOf(2))], [moved, undefined]);
});

Deno.test("a full list replaces what is known, once its last page is in", () => {
  const list = new PeerList();
  list.apply(frame({ full: true, peers: [entryOf(1), entryOf(2), entryOf(3)] }));
  const pages = [
    frame({ epoch: OTHER, full: true, more: true, revision: 1, peers: [entryOf(2)] }),
    frame({ epoch: OTHER, more: true, revision: 2, peers: [entryOf(4)] }),
  ];
  for (const page of pages) assertEquals(list.apply(page).left, []);
  assertEquals(names(list), ["p1", "p2", "p3", "p4"]);
  const { left } = list.apply(frame({ epoch: OTHER, revision: 3, peers: [entryOf(5)] }));
  assertEquals(left, [entryOf(1), entryOf(3)]);
  assertEquals(names(list), ["p2", "p4", "p5"]);
});

Deno.test("who leaves while a full list comes in does not come back", () => {
  const list = new PeerList();
  list.apply(frame({ full: true, more: true, peers: [entryOf(1), entryOf(2)] }));
  list.apply(frame({ revision: 5, peers: [entryOf(3)], gone: [idOf(1)] }));
  assertEquals(names(list), ["p2", "p3"]);
});

Deno.test("a new epoch may start at an earlier revision, an old frame does not go back", () => {
  const list = new PeerList();
  list.apply(frame({ full: true, revision: 90 }));
  list.apply(frame({ revision: 80 }));
  assertEquals(list.position.since, 90);
  list.apply(frame({ epoch: OTHER, full: true, revision: 3 }));
  assertEquals(list.position, { since: 3, epoch: OTHER });
});

Deno.test("the barred are those of the last frame", () => {
  const list = new PeerList();
  list.apply(frame({ barred: [idOf(1)] }));
  assertEquals([list.isBarred(idOf(1)), list.isBarred(idOf(2))], [true, false]);
  list.apply(frame({ barred: [] }));
  assertEquals(list.isBarred(idOf(1)), false);
});
