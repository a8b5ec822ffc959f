import { assertEquals, assertStringIncludes } from "@std/assert";
import { encodeTable, fileAt, type TreeEntry } from "../../../lib/pieces/tree_table.ts";
import type { P2PError } from "../../../lib/errors.ts";
import { throwsWith } from "../../helpers/errors.ts";
import { entriesOf, sampleTree } from "../../helpers/tree.ts";
import { planTree } from "../../helpers/tree_plan.ts";

const TIME = 1234;

function folder(path: string): TreeEntry {
  return { path, size: null, mtime: TIME, executable: false };
}

function file(path: string, size = 1): TreeEntry {
  return { path, size, mtime: TIME, executable: false };
}

function bytesOfText(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Where the entries would be created, in the order of their kinds. */
function pathsOf(entries: TreeEntry[], { foldsCase = false } = {}) {
  const { folders, files } = planTree(encodeTable(entries), { foldsCase });
  return { folders: folders.map(({ path }) => path), files: files.map(({ path }) => path) };
}

Deno.test("a table is one line of JSON for each entry", () => {
  const entries: TreeEntry[] = [
    folder("a"),
    { path: 'a/"\u00e4"\n', size: 5, mtime: -1.5, executable: true },
  ];
  assertEquals(
    new TextDecoder().decode(encodeTable(entries)),
    '["folder","a",1234]\n["file","a/\\"\u00e4\\"\\n",-1.5,5,true]\n',
  );
  assertEquals(encodeTable([]), new Uint8Array(0));
});

Deno.test("a plan has every entry as it was, and where the bytes of each file begin", () => {
  const entries = entriesOf(sampleTree());
  const table = encodeTable(entries);
  const { folders, files, end } = planTree(table, { foldsCase: false });
  assertEquals(folders, entries.filter(({ size }) => size === null));
  assertEquals(
    files.map(({ offset: _, number: __, ...rest }) => rest),
    entries.filter((e) => e.size !== null),
  );
  let offset = table.length;
  for (const file of files) {
    assertEquals(file.offset, offset, file.path);
    offset += file.size;
  }
  assertEquals(end, offset);
  assertEquals(planTree(new Uint8Array(0), { foldsCase: true }), {
    folders: [],
    files: [],
    end: 0,
    renamed: 0,
    renames: [],
  });
});

const OUT = [
  "..",
  ".",
  "",
  "/",
  "/etc/passwd",
  "a/..",
  "a/../../b",
  "a//b",
  "a/",
  "./a",
  "a\0b",
  "\0",
];

for (const path of OUT) {
  Deno.test(`a path that leads elsewhere is refused by name: ${JSON.stringify(path)}`, () => {
    for (const entry of [file(path), folder(path)]) {
      const error = throwsWith("refused", () => pathsOf([folder("a"), entry]));
      assertStringIncludes(error.message, `'${path}'`);
    }
  });
}

const REPEATED: Record<string, TreeEntry[]> = {
  "a file": [file("a"), file("a", 2)],
  "a folder": [folder("a"), folder("a")],
  "a file and a folder": [file("a"), folder("a")],
  "a folder and a file": [folder("a"), file("a")],
  "a file, and a folder with something in it": [file("a"), file("a/b")],
};

for (const [what, entries] of Object.entries(REPEATED)) {
  Deno.test(`what comes twice is refused by name: ${what}`, () => {
    const error = throwsWith("refused", () => pathsOf(entries));
    assertStringIncludes(error.message, `'${entries[1]?.path}'`);
    throwsWith("refused", () => pathsOf(entries, { foldsCase: true }));
  });
}

Deno.test("a path that is too deep or too long is refused", () => {
  const deep = (depth: number) => Array.from({ length: depth }, () => "d");
  const entries = (depth: number) => deep(depth).map((_, i) => folder(deep(i + 1).join("/")));
  assertEquals(pathsOf(entries(100)).folders.length, 100);
  throwsWith("refused", () => pathsOf(entries(101)));
  throwsWith("refused", () => pathsOf([file("x".repeat(4097))]));
});

const MALFORMED: Record<string, Uint8Array> = {
  "no JSON": bytesOfText("x\n"),
  "an empty line": bytesOfText("\n"),
  "no array": bytesOfText('{"file":1}\n'),
  "null": bytesOfText("null\n"),
  "no end of the line": bytesOfText('["folder","a",1]'),
  "another kind": bytesOfText('["link","a",1]\n'),
  "no path": bytesOfText('["folder",1,1]\n'),
  "no time": bytesOfText('["folder","a"]\n'),
  "a time that is none": bytesOfText('["folder","a",1e999]\n'),
  "no size": bytesOfText('["file","a",1]\n'),
  "a negative size": bytesOfText('["file","a",1,-1,false]\n'),
  "a size that is no integer": bytesOfText('["file","a",1,0.5,false]\n'),
  "a size beyond exact numbers": bytesOfText('["file","a",1,9007199254740992,false]\n'),
  "sizes that are together": bytesOfText(
    ["a", "b"].map((name) => `["file","${name}",1,${Number.MAX_SAFE_INTEGER},false]\n`).join(""),
  ),
  "no mode": bytesOfText('["file","a",1,1]\n'),
  "a file before its folder": bytesOfText('["file","a/b",1,1,false]\n["folder","a",1]\n'),
  "a byte that is not UTF-8": Uint8Array.of(...bytesOfText('["folder","a'), 0xff, 0x22, 0x5d, 0x0a),
  "a byte order mark": bytesOfText('\ufeff["folder","a",1]\n'),
};

for (const [what, table] of Object.entries(MALFORMED)) {
  Deno.test(`a table with ${what} is malformed`, () => {
    throwsWith("malformed", () => planTree(table, { foldsCase: false }));
  });
}

Deno.test("components become safe one by one, and folders take what is in them along", () => {
  const { folders, files } = pathsOf([
    folder("CON"),
    folder("CON/a\u202eb"),
    file("CON/a\u202eb/nul.txt"),
    file("CON/a\u202eb/dir\\evil.txt"),
    file("CON/a\u202eb/C:evil"),
    file("CON/a\u202eb/esc\u001b[2J"),
    file("CON/a\u202eb/dot."),
  ]);
  assertEquals(folders, ["_CON", "_CON/ab"]);
  assertEquals(
    files,
    ["_nul.txt", "evil.txt", "C_evil", "esc_[2J", "dot"].map((name) => `_CON/ab/${name}`),
  );
});

Deno.test("names may begin with a dot, and stay hidden", () => {
  const dotfiles = [".bashrc", ".partial", ".config.d", "._x", "...rc"];
  const { files } = pathsOf(dotfiles.map((name) => file(name)));
  assertEquals(files, [".bashrc", ".partial", ".config.d", "._x", "_...rc"]);
});

Deno.test("names that become one are numbered", () => {
  const entries = ["a?", "a*", "a_", "a_ (1)"].map((name) => file(name));
  assertEquals(pathsOf(entries).files, ["a_", "a_ (1)", "a_ (2)", "a_ (1) (1)"]);
  const both = [file("x\\n"), folder("n"), file("n/m")];
  assertEquals(pathsOf(both), { files: ["n", "n (1)/m"], folders: ["n (1)"] });
});

Deno.test("names that differ in case only are two where the file system tells them apart", () => {
  const entries = [
    folder("Photos"),
    file("Photos/A.png"),
    file("Photos/a.PNG"),
    folder("photos"),
    file("photos/A.png"),
    file("Stra\u00dfe"),
    file("STRASSE"),
  ];
  assertEquals(pathsOf(entries), {
    folders: ["Photos", "photos"],
    files: ["Photos/A.png", "Photos/a.PNG", "photos/A.png", "Stra\u00dfe", "STRASSE"],
  });
  assertEquals(pathsOf(entries, { foldsCase: true }), {
    folders: ["Photos", "photos (1)"],
    files: ["Photos/A.png", "Photos/a (1).PNG", "photos (1)/A.png", "Stra\u00dfe", "STRASSE (1)"],
  });
});

Deno.test("the file at an offset is the one with that byte; empty files have none", () => {
  const sizes = [0, 3, 0, 0, 2, 1, 0];
  let offset = 10;
  const files = sizes.map((size) => ({ size, offset: (offset += size) - size }));
  const at = (offset: number) => fileAt(files, offset);
  assertEquals([10, 11, 12].map(at), [1, 1, 1]);
  assertEquals([13, 14, 15].map(at), [4, 4, 5]);
  // Behind the last byte all are complete.
  assertEquals([16, 100].map(at), [7, 7]);
  assertEquals([0, 9].map(at), [0, 0]);
  assertEquals(fileAt([], 0), 0);
});

Deno.test("very many names that become one are numbered, or refused, at once", () => {
  // One character that nobody sees, as often as it takes: each of them becomes the same name.
  const entries = Array.from({ length: 1000 }, (_, i) => file(`a${"\u200b".repeat(i)}`));
  let paths: string[];
  try {
    paths = pathsOf(entries).files;
  } catch (error) {
    assertEquals((error as P2PError).code, "refused");
    return;
  }
  assertEquals(new Set(paths).size, entries.length);
  assertEquals([paths[0], paths.at(-1)], ["a", "a (999)"]);
});
