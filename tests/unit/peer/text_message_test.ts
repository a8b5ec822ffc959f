import { assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { Identity } from "../../../lib/identity/keys.ts";
import { composeMessage, SeenMessages, type SignedText } from "../../../lib/peer/text_message.ts";
import { signMessage } from "../../../lib/identity/signed_text.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { throwsWith } from "../../helpers/errors.ts";

const author = Identity.generate();
const network = Identity.generate().id;

function compose(text: string): SignedText {
  return composeMessage(text, { identity: author, network, name: "anna" });
}

function asMessage({ header }: SignedText, from = author.id): MessageOf<"MESSAGE"> {
  return { verb: "MESSAGE", from, ...header };
}

Deno.test("a message is shown once, whichever way it comes", () => {
  const inbox = new SeenMessages(network);
  const first = compose("hello \u{1f600}\n\u001b[2J");
  assertEquals(inbox.read(asMessage(first), first.text), "hello \u{1f600}\n\u001b[2J");
  assertEquals(inbox.read(asMessage(first), first.text), null);
  const again = compose("hello");
  assertEquals(inbox.read(asMessage(again), again.text), "hello");
});

Deno.test("forged messages are refused, and do not count as seen", () => {
  const inbox = new SeenMessages(network);
  const signed = compose("hello");
  const message = asMessage(signed);
  const forged: [MessageOf<"MESSAGE">, Uint8Array][] = [
    [{ ...message, from: Identity.generate().id }, signed.text],
    [{ ...message, name: "bob" }, signed.text],
    [{ ...message, time: "2020-01-01T00:00:00.000Z" }, signed.text],
    [{ ...message, id: encodeBase64Url(new Uint8Array(16)) }, signed.text],
    [{ ...message, signature: encodeBase64Url(new Uint8Array(64)) }, signed.text],
    [message, new TextEncoder().encode("hullo")],
    [message, new Uint8Array()],
  ];
  for (const [header, body] of forged) throwsWith("unauthorised", () => inbox.read(header, body));
  assertEquals(inbox.read(message, signed.text), "hello");
});

Deno.test("a message of another network is refused", () => {
  const signed = compose("hello");
  const other = new SeenMessages(Identity.generate().id);
  throwsWith("unauthorised", () => other.read(asMessage(signed), signed.text));
});

Deno.test("text that is not UTF-8 is refused", () => {
  const text = Uint8Array.of(0xff, 0xfe);
  const { header } = compose("x");
  const signature = signMessage(author, { ...header, network }, text);
  const inbox = new SeenMessages(network);
  throwsWith("malformed", () => inbox.read({ ...asMessage({ header, text }), signature }, text));
});

Deno.test("the same id of another author is another message", () => {
  const inbox = new SeenMessages(undefined);
  const signed = compose("hello");
  assertEquals(inbox.read(asMessage(signed), signed.text), "hello");
  assertEquals(inbox.read(asMessage(signed, Identity.generate().id), signed.text), "hello");
});

Deno.test("a text has 1 to 16384 bytes", () => {
  assertEquals(compose("x".repeat(16_384)).text.length, 16_384);
  for (const text of ["", "x".repeat(16_385), "\u20ac".repeat(5_462)]) {
    throwsWith("usage", () => compose(text));
  }
});
