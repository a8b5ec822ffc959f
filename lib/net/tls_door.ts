import type { Address } from "../address.ts";

/** Certificate and key of a listener, PEM. */
export interface ListenerKey {
  cert: string;
  key: string;
}

/** What a {@linkcode TlsDoor} takes connections from. */
interface Acceptor {
  accept(): Promise<Deno.Conn>;
  close(): void;
}

/** Milliseconds after which a port that is not free yet is tried again. */
const TRY_AGAIN_AFTER = 1;

/**
 * A TLS listener that is fast until it is attacked. With `Deno.listenTls` callers who stay silent keep their descriptors
 * for as long as they like. {@linkcode TlsDoor.guard} listens anew, at the same port, with what costs more and can shut
 * them out, and stays with that.
 */
export class TlsDoor implements Disposable {
  readonly addr: Deno.NetAddr;
  readonly #key: ListenerKey;
  /** Loaded before it is needed: Deno ends the process when it has to load a module with no descriptors left. */
  readonly #strict = import("./strict_tls.ts");
  #acceptor: Acceptor;
  #guarding: Promise<void> | undefined;
  #isClosed = false;

  /** Listens; throws as `Deno.listenTls` does. */
  constructor({ host, port }: Address, key: ListenerKey) {
    const listener = Deno.listenTls({ hostname: host, port, cert: key.cert, key: key.key });
    this.addr = listener.addr as Deno.NetAddr;
    this.#key = key;
    this.#acceptor = listener;
  }

  /** The next connection; rejects as `Deno.Listener.accept` does. */
  async accept(): Promise<Deno.Conn> {
    while (true) {
      const acceptor = this.#acceptor;
      try {
        return await acceptor.accept();
      } catch (error) {
        await this.#guarding;
        if (acceptor === this.#acceptor || this.#isClosed) throw error;
      }
    }
  }

  /** Gives out connections from now on that are gone as soon as they are closed. Resolves when it does. */
  guard(): Promise<void> {
    return this.#guarding ??= this.#listenAnew();
  }

  /** Stops listening. */
  close(): void {
    this.#isClosed = true;
    this.#acceptor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #listenAnew(): Promise<void> {
    // All is made ready before the port is given up: until it is taken again nobody can connect.
    const { StrictTlsListener } = await this.#strict;
    const strict = new StrictTlsListener(this.#key);
    if (this.#isClosed) return;
    const { hostname: host, port } = this.addr;
    this.#acceptor.close();
    while (!this.#isClosed) {
      try {
        await strict.listen({ host, port });
        this.#acceptor = strict;
        if (this.#isClosed) strict.close();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_AFTER));
      }
    }
  }
}
