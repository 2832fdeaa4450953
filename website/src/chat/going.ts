import { delayOf } from "./connection/backoff";
import type { ServerConnection } from "./connection/connection";
import type { Environment } from "./environment";
import { type Handover, type Identity, isSilence } from "./identity/identity";
import type { Who } from "./identity/who";
import type { Pauses } from "./pause";
import type { Api } from "./protocol/api";
import { Failure } from "./protocol/failure";
import type { Session } from "./session";

export interface GoingParts {
  readonly env: Environment;
  /** What all tabs of this browser call this chat. */
  readonly name: string;
  readonly identity: Identity;
  readonly connection: ServerConnection;
  readonly pauses: Pauses;
  readonly end: AbortSignal;
  /** Whether whoever is here is known, and may chat. */
  readonly may: () => boolean;
  /** Who is here by now. */
  readonly who: () => Who;
  /** The server, as the account that a visitor's history is claimed for. */
  readonly claiming: () => Api;
  /** Shows what there is now. */
  readonly tell: () => void;
}

const AGAIN_MS = 1_500;
const LONGEST_DELAY_MS = 120_000;

/** Brings a session to where it is served: what a visitor left is its own, it is listed, and what waits is sent. */
export class Going {
  /** Whether going on is put off already. */
  #waits = false;
  #putOff = 0;
  /** Whom it was last asked for. */
  #session: Session | null = null;

  constructor(private readonly parts: GoingParts) {}

  /** Tries, and again later until it is done. */
  async on(session: Session): Promise<void> {
    this.#session = session;
    if (!this.parts.may()) return;
    await this.#takeOver(session);
    if (this.parts.who().kind === "account") await session.goOn();
    else await this.#oneByOne(() => session.goOn());
    this.parts.tell();
    if (!session.served || this.#handover() !== null) void this.#later();
    else this.#putOff = 0;
  }

  async #later(): Promise<void> {
    if (this.#waits) return;
    this.#waits = true;
    const { env, pauses, connection, end } = this.parts;
    await pauses.wait(AGAIN_MS + delayOf(this.#putOff++, LONGEST_DELAY_MS, env.random()), end);
    await connection.online(end);
    this.#waits = false;
    // Somebody else may be before the page by now, who was put off meanwhile.
    const session = this.#session;
    if (session !== null && !session.closed) await this.on(session);
  }

  /** Two tabs that begin at once would be two visitors. */
  async #oneByOne(work: () => Promise<void>): Promise<void> {
    const { env, name } = this.parts;
    let begun = false;
    const once = () => {
      begun = true;
      return work();
    };
    try {
      if (env.locks !== null) await env.locks.request(`${name}:first`, once);
    } catch (error) {
      if (begun) throw error;
      // Locks are forbidden here.
    }
    if (!begun) await once();
  }

  /** Makes what was said as a visitor the account's, and what was typed and not sent as well. */
  async #takeOver(session: Session): Promise<void> {
    const handover = this.#handover();
    if (handover === null) return;
    const { identity, claiming } = this.parts;
    try {
      await claiming().claim();
    } catch (error) {
      // What cannot be claimed is not there any more; all else is tried again when the server is back.
      if (isSilence(error) || (error instanceof Failure && error.kind === "unauthorized")) return;
    }
    if (!(await session.outbox.takeOver(handover.visitor))) return;
    identity.visitorIsGone();
    identity.handover = null;
  }

  /** What is still to be handed over to whoever is here. */
  #handover(): Handover | null {
    const { handover } = this.parts.identity;
    return handover?.account === this.parts.who().owner ? handover : null;
  }
}
