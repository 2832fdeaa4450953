import type { Environment } from "../environment";
import { Failure, failureOf, type Meaning } from "./failure";

/** Who sends requests. */
export interface Credentials {
  headers(): Promise<Record<string, string>>;
  /** Called when the server does not know who that is. Whether to ask again, with other headers. */
  refused(): boolean;
  /** Called with each answer, for what is to be kept of it. */
  answered(response: Response): void;
}

export const NOBODY: Credentials = {
  headers: async () => ({}),
  refused: () => false,
  answered: () => {},
};

/** Told of each request how it went on its way. */
export type Witness = (heard: "answer" | "network" | "unavailable") => void;

const PATIENCE_MS = 30_000;

/** Requests of one person to one server. */
export class Http {
  constructor(
    private readonly env: Environment,
    private readonly base: string,
    private readonly credentials: Credentials,
    private readonly witness: Witness,
  ) {}

  /** Returns a good answer whose body is still to be read; all else is a Failure. */
  async send(path: string, init: RequestInit = {}, meaning: Meaning = () => null): Promise<Response> {
    let response = await this.#sendOnce(path, init);
    if (response.status === 401 && this.credentials.refused()) response = await this.#sendOnce(path, init);
    if (response.ok) return response;
    throw await failureOf(response, this.env.now(), meaning);
  }

  async #sendOnce(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string>), ...(await this.credentials.headers()) };
    const response = await this.#reach(path, { ...init, headers });
    this.credentials.answered(response);
    // Busy with this one is not down: only a gateway's or a database's words are.
    this.witness(response.status >= 502 && response.status <= 504 ? "unavailable" : "answer");
    return response;
  }

  async #reach(path: string, init: RequestInit): Promise<Response> {
    const limit = new AbortController();
    const caller = init.signal;
    const pass = () => limit.abort();
    caller?.addEventListener("abort", pass);
    if (caller?.aborted) limit.abort();
    const done = this.env.after(PATIENCE_MS, pass);
    try {
      return await this.env.fetch(this.base + path, {
        ...init,
        signal: limit.signal,
        credentials: "include",
        cache: "no-store",
      });
    } catch (error) {
      caller?.removeEventListener("abort", pass);
      if (caller?.aborted) throw error;
      this.witness("network");
      throw new Failure("The server cannot be reached.", "network");
    } finally {
      // The caller's own signal goes on to end the body.
      done();
    }
  }
}
