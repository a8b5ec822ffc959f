import { join } from "node:path";
import { formatInvite, type Invite, parseInvite } from "../identity/invite.ts";
import { readPrivate, replacePrivate } from "../disk/private_file.ts";

const FILE = "address.json";

/** Address of this user's tracker, now or when it ran last. Other programs of the user find it here. */
export interface LocalTracker {
  host: string;
  port: number;
  /** Null when it runs with `--insecure`. */
  invite: Invite | null;
}

/** Notes where the tracker listens. The file is private: it holds the invite. */
export async function announceTracker(
  folder: string,
  { host, port, invite }: LocalTracker,
): Promise<void> {
  const text = JSON.stringify({ host, port, invite: invite ? formatInvite(invite) : null });
  await replacePrivate(join(folder, FILE), text);
}

/** The tracker of this user, or null when none has run yet. */
export async function findTracker(folder: string): Promise<LocalTracker | null> {
  const text = await readPrivate(join(folder, FILE));
  if (text === null) return null;
  try {
    const { host, port, invite } = JSON.parse(text);
    if (typeof host !== "string" || !Number.isSafeInteger(port)) return null;
    return { host, port, invite: typeof invite === "string" ? parseInvite(invite) : null };
  } catch {
    // A note for convenience; the tracker writes it anew when it starts.
    return null;
  }
}
