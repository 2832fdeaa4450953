import type { Problem } from "../contract";

/**
 * - `network`: nobody answered; whether the request arrived is not known.
 * - `unavailable`: the server, or something before it, cannot answer now.
 * - `busy`: too many at once, or the same is being done already.
 * - `refused`: it is not taken as it is.
 * - `gone`: what it is about is not there.
 * - `unauthorized`: who asks is not known.
 */
export type FailureKind = "network" | "unavailable" | "busy" | "refused" | "gone" | "unauthorized";

const PASSING: ReadonlySet<FailureKind> = new Set(["network", "unavailable", "busy"]);

/** A request that failed, in words for the person who sees it. */
export class Failure extends Error implements Problem {
  constructor(
    message: string,
    readonly kind: FailureKind,
    /** How long the server wants to be left alone. */
    readonly retryAfterMs: number | null = null,
    /** The server's name for it. */
    readonly code: string | null = null,
  ) {
    super(message);
  }

  get canRetry(): boolean {
    return PASSING.has(this.kind);
  }
}

/** Understands the failures of a server that has words of its own. */
export type Meaning = (body: unknown, kind: FailureKind) => Failure | null;

/** The failure that an answer of the server stands for. */
export async function failureOf(response: Response, now: number, meaning: Meaning): Promise<Failure> {
  const body: unknown = await response.json().catch(() => null);
  const error = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  const code = typeof error?.code === "string" ? error.code : null;
  const message = typeof error?.message === "string" ? error.message : sorry(response.status);
  const retryAfter = retryAfterOf(response.headers.get("Retry-After"), now);
  const kind = kindOf(response.status, code, retryAfter);
  return meaning(body, kind) ?? new Failure(message, kind, retryAfter, code);
}

function kindOf(status: number, code: string | null, retryAfter: number | null): FailureKind {
  if (status >= 500) return "unavailable";
  if (status === 429 || status === 408 || status === 425) return "busy";
  // One that passes says when to come back; a conversation that is closed does not.
  if (status === 409) return code === "busy" || retryAfter !== null ? "busy" : "refused";
  if (status === 401) return "unauthorized";
  if (status === 404) return "gone";
  return "refused";
}

/** Whatever a server or a clock that is wrong says: a timer set for longer than 24 days runs at once. */
const LONGEST_MS = 15 * 60_000;

function retryAfterOf(header: string | null, now: number): number | null {
  if (header === null) return null;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(milliseconds) ? Math.min(Math.max(0, milliseconds), LONGEST_MS) : null;
}

function sorry(status: number): string {
  return status >= 500
    ? "The server cannot answer now. Please try again in a moment."
    : `The server does not take this request (${status}).`;
}

/** What to show for anything that was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Failure) return { message: error.message, canRetry: error.canRetry };
  console.error(error);
  return { message: "Something went wrong in this page. Please reload it.", canRetry: false };
}
