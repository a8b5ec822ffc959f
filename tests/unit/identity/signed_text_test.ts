import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../../../lib/errors.ts";
import {
  type MessageSubject,
  signMessage,
  verifyMessage,
} from "../../../lib/identity/signed_text.ts";
import { dialler, listener, network, run } from "../../testdata/worked_example.ts";

// The worked example of PROTOCOL.md: what changes here has to change there.
const text = new TextEncoder().encode("hello");
const subject: MessageSubject = {
  network: network.id,
  id: encodeBase64Url(run(0xc0, 16)),
  time: "2025-01-02T03:04:05.678Z",
  name: "anna",
};

Deno.test("the worked example: a message", () => {
  const signature = signMessage(dialler, subject, text);
  assertEquals(
    signature,
    "bU4L97k-gb50VHEhcecsHcUUXlmix3uv6syg1ZvZoJ-Avop9bpqZsTUMGOUiPqNJymGntowyX0gyCGI1Kj3tDg",
  );
  assert(verifyMessage(dialler.id, subject, text, signature));
  const open = { ...subject, network: undefined };
  assertEquals(
    signMessage(dialler, open, text),
    "JmWZWdhivn4jNQj_kaxRxek6ofecYGJcNhVMG4WiADi0GaHSxmakthjs8w0CJOBVQczjLPdWBb5gCPfm-Sv5CQ",
  );
});

Deno.test("a message with any part changed is refused", () => {
  const signature = signMessage(dialler, subject, text);
  const changes: Partial<MessageSubject>[] = [
    { network: listener.id },
    { network: undefined },
    { network: "" },
    { id: encodeBase64Url(run(0xc1, 16)) },
    { id: "" },
    { time: "2025-01-02T03:04:05.679Z" },
    { time: `${subject.time}a`, name: "nna" },
    { name: "Anna" },
    { name: "\ud800" },
    { name: "a".repeat(65536) },
  ];
  for (const change of changes) {
    assert(!verifyMessage(dialler.id, { ...subject, ...change }, text, signature));
  }
  assert(!verifyMessage(listener.id, subject, text, signature));
  assert(!verifyMessage("", subject, text, signature));
  assert(!verifyMessage(dialler.id, subject, text.subarray(1), signature));
  assert(!verifyMessage(dialler.id, subject, text, ""));
  assert(!verifyMessage(dialler.id, subject, text, "A".repeat(86)));
});

Deno.test("a message whose fields do not fit is not signed", () => {
  for (const change of [{ id: "x" }, { name: "a".repeat(65536) }, { name: "\ud800" }]) {
    assertThrows(() => signMessage(dialler, { ...subject, ...change }, text), P2PError);
  }
});
