/** Closes what may be closed already. */
export function closeQuietly(conn: { close(): void }): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Whether a TLS connection is gone as soon as it is closed, also in the middle of its handshake: see tls_door.ts. */
export function isFreedByClose(conn: Deno.Conn): boolean {
  return "isFreedByClose" in conn;
}
