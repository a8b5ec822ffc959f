import { textOf } from "../cli/arguments/arguments.ts";
import { namesById } from "../directory/name_book.ts";
import { openFile } from "../disk/descriptors.ts";
import { diskError } from "../disk/disk_error.ts";
import { writeAll } from "../disk/file_bytes.ts";
import { openRegular } from "../disk/open_regular.ts";
import { asP2PError, ExitCode, P2PError } from "../errors.ts";
import type { ReceiptEvent } from "../events.ts";
import { KEY_BYTES } from "../identity/keys.ts";
import { lineOf, receiptsPath, type SignedReceipt } from "../peer/receipt_book.ts";
import { readReceipts, verifyReceipts } from "../peer/read_receipts.ts";
import { hexOf } from "../pieces/hash.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** `peer receipts`: lists what recipients have signed, exports it, or checks what somebody exported. Needs no tracker. */
export async function receipts(context: CommandContext): Promise<ExitCode> {
  const [action, path, ...ids] = context.command.positionals;
  if (action === undefined) await list(context);
  else if (action === "export" && path !== undefined && ids.length === 0) {
    await exportTo(path, context);
  } else if (action === "verify" && path !== undefined) await verify(path, ids, context);
  else {
    const given = context.command.positionals.join(" ");
    throw new P2PError(
      "usage",
      `Cannot understand \`receipts ${given}\`: it is \`peer receipts\`, \`peer receipts export FILE\` or ` +
        "`peer receipts verify FILE [ID ...]`",
    );
  }
  return ExitCode.done;
}

async function list(context: CommandContext): Promise<void> {
  const { emit } = context;
  const { peers, kept } = await own(context);
  const names = await namesById(peers).catch((error) => {
    emit({ event: "notice", message: asP2PError(error).message });
    return new Map<string, string>();
  });
  for (const receipt of kept) emit(eventOf(receipt, names.get(receipt.recipient)));
  if (kept.length === 0) emit({ event: "notice", message: "Nobody has signed a receipt yet" });
}

async function exportTo(path: string, context: CommandContext): Promise<void> {
  const { kept } = await own(context);
  if (kept.length === 0) {
    throw new P2PError("usage", "Cannot export receipts: nobody has signed one yet");
  }
  using file = await openFile(path, { write: true, createNew: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw diskError("write", path, error);
    throw new P2PError("file-not-found", `Cannot write ${path}: its folder is not there`);
  });
  try {
    await writeAll(file, kept.map(lineOf).join(""));
    await file.syncData();
  } catch (error) {
    // Some of the receipts would pass for all of them.
    await Deno.remove(path).catch(() => {});
    throw diskError("write", path, error);
  }
  const what = kept.length === 1 ? "1 receipt" : `${kept.length} receipts`;
  context.emit({
    event: "notice",
    message: `Wrote ${what} to ${path}: \`peer receipts verify ${path}\` checks them anywhere`,
  });
}

/** Checks every receipt in a file; with ids, that there is one of each of them and none of anybody else. */
async function verify(path: string, ids: string[], { emit }: CommandContext): Promise<void> {
  const wanted = new Set(ids.map(idOf));
  const receipts = verifyReceipts(await bytesOf(path), path);
  const signed = new Set(receipts.map(({ recipient }) => recipient));
  if (wanted.size > 0) {
    const missing = [...wanted].find((id) => !signed.has(id));
    const other = receipts.findIndex(({ recipient }) => !wanted.has(recipient));
    const why = missing !== undefined
      ? `it has no receipt of id:${missing}`
      : other >= 0
      ? `line ${other + 1} is signed by id:${
        receipts[other]?.recipient
      }, who is none of those named`
      : undefined;
    if (why !== undefined) throw new P2PError("integrity", `Cannot trust ${path}: ${why}`);
  }
  for (const receipt of receipts) emit({ ...eventOf(receipt), verified: true });
}

async function own({ command, env }: CommandContext) {
  const { peers } = stateFolders(textOf(command.values, "state"), env);
  return { peers, kept: await readReceipts(receiptsPath(peers)) };
}

function idOf(given: string): string {
  const id = given.replace(/^id:/, "");
  if (isBase64Url(id, KEY_BYTES)) return id;
  throw new P2PError(
    "usage",
    `Cannot understand the id '${given}': it is the 43 characters that \`peer peers --json\` shows`,
  );
}

async function bytesOf(path: string): Promise<Uint8Array> {
  try {
    using file = await openRegular(path);
    return await new Response(file.readable).bytes();
  } catch (error) {
    throw diskError("read", path, error);
  }
}

function eventOf(receipt: SignedReceipt, peer?: string): ReceiptEvent {
  const { sha256, manifest, ...signed } = receipt;
  return {
    event: "receipt",
    ...(peer === undefined ? {} : { peer }),
    ...signed,
    ...(sha256 === undefined ? {} : { sha256: hexOf(sha256) }),
    ...(manifest === undefined ? {} : { manifest: hexOf(manifest) }),
  };
}
