import type { Problem } from "../../chat/contract";

/** The words for a failure that a deed of the chat rejected with. */
export function problemText(failure: unknown): string {
  return isProblem(failure) ? failure.message : "That did not work. Try it again.";
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "message" in value && "canRetry" in value;
}
