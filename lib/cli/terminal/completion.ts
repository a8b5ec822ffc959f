import { escapeText } from "../output/escape.ts";
import { MENU_WORDS, quoteWord } from "./menu_line.ts";

/** Sources of the words to complete with. */
export interface CompletionSources {
  /** Names of the files in the data folder. */
  dataFiles(): Promise<string[]>;
  /** Names of the other peers. */
  peerNames(): string[];
}

/** Candidates and the part of the line that they replace, as readline asks for them. */
export type Completion = [candidates: string[], replaced: string];

/** Completes the last word of `line`: a command, then a file of data/ or a peer. */
export async function complete(line: string, sources: CompletionSources): Promise<Completion> {
  const match = /^\s*(\S+)\s+(.*)$/s.exec(line);
  if (match === null) {
    const word = line.trimStart();
    return [MENU_WORDS.filter((name) => name.startsWith(word.toLowerCase())).map(spaced), word];
  }
  const [, command = "", rest = ""] = match;
  switch (command.toLowerCase()) {
    case "ping":
      return candidates(sources.peerNames(), rest);
    case "sendfile":
      return await completeSendFile(rest, sources);
    default:
      return [[], line];
  }
}

async function completeSendFile(rest: string, sources: CompletionSources): Promise<Completion> {
  const name = /^("(?:\\"|[^"])*"|'[^']*'|(?:\\\s|[^\s"'])\S*)\s+/.exec(rest);
  if (name === null) return candidates(await sources.dataFiles(), rest);
  const word = rest.slice(name[0].length).split(/[\s,]/).at(-1) ?? "";
  return candidates(["all", ...sources.peerNames()], word);
}

/** The names of `names` that start with `typed`, which may have an opening quote. */
function candidates(names: string[], typed: string): Completion {
  const quote = /^["']/.exec(typed)?.[0] ?? "";
  const start = typed.slice(quote.length).replace(/\\(\s)/g, "$1");
  const hits = names
    .filter((name) => name.startsWith(start) && escapeText(name) === name)
    .sort()
    .map((name) => quote === "" ? quoteWord(name) : `${quote}${name}${quote}`);
  return [hits.length === 1 ? hits.map(spaced) : hits, typed];
}

/** A complete word is followed by a space. */
function spaced(word: string): string {
  return `${word} `;
}
