import { assertEquals } from "@std/assert";
import { type ErrorCode, P2PError } from "../../lib/errors.ts";
import { deadline } from "./deadline.ts";

/** The error that `action` rejects with, which has to have the code. */
export async function rejectsWith(
  code: ErrorCode,
  action: () => Promise<unknown>,
): Promise<P2PError> {
  let thrown: unknown;
  try {
    await deadline(action(), `a rejection with ${code}`);
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof P2PError)) throw thrown ?? new Error(`it did not reject with ${code}`);
  assertEquals(thrown.code, code, `${thrown.code}: ${thrown.message}`);
  return thrown;
}

/** The same of a call that throws at once. */
export function throwsWith(code: ErrorCode, action: () => unknown): P2PError {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof P2PError)) throw thrown ?? new Error(`it did not throw ${code}`);
  assertEquals(thrown.code, code, `${thrown.code}: ${thrown.message}`);
  return thrown;
}
