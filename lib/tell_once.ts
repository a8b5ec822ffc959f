/** Texts that are told at most: whoever can write into a folder could make up new ones for ever. */
const MOST = 1000;

/** Passes each text on once: what a disk cannot do, or what is in the way, is said and not repeated. */
export function tellOnce(tell: (text: string) => void): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (told.has(text) || told.size >= MOST) return;
    told.add(text);
    tell(text);
  };
}
