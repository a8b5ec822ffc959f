import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import type { Session } from "./session.ts";

/** Shortest pause between two looks, milliseconds. */
const MIN_PAUSE = 1000;

/**
 * Asks a session that has been silent for `idleLimit` milliseconds whether the other side is still there,
 * and aborts it when nothing comes for `pongTimeout` milliseconds: a connection whose other end vanished says nothing by
 * itself.
 */
export function keepAlive(session: Session, { idleLimit, pongTimeout, clock }: {
  idleLimit: number;
  pongTimeout: number;
  clock: Clock;
}): void {
  let cancel: () => void;
  const look = () => {
    const wait = session.lastHeard + idleLimit - clock.now();
    cancel = clock.after(Math.max(MIN_PAUSE, wait), async () => {
      if (clock.now() - session.lastHeard >= idleLimit) await ask(session, pongTimeout);
      if (!session.connection.closed) look();
    });
  };
  look();
  session.ended.then(() => cancel());
}

async function ask(session: Session, pongTimeout: number): Promise<void> {
  if (await session.isAlive(pongTimeout)) return;
  session.abort(new P2PError("timeout", "Connection lost: no answer to PING"));
}
