/**
 * Has the random numbers of TLS seeded while something else is going on.
 *
 * The first TLS connection of a process makes AWS-LC, which Deno uses, gather entropy: 30 ms of computing
 * on the thread that asks, which is the event loop's. WebCrypto makes an ECDSA key with the same generator
 * on a thread of its own (a key for HMAC or AES it makes at once, on the event loop). No imports here: an entry file
 * imports this, and loads the rest with `import()` after it. Imported along with the rest it would begin only when all
 * of that is loaded, which makes a compiled peer 13 ms slower.
 *
 * @module
 */

const algorithm = { name: "ECDSA", namedCurve: "P-256" };
crypto.subtle.generateKey(algorithm, false, ["sign"]).catch(() => {
  // Then the first connection does it.
});

export {};
