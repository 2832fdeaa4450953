import { ServerConnection } from "./connection/connection";
import type { Person } from "./contract";
import type { Environment } from "./environment";
import { Going } from "./going";
import { Identity, isSilence } from "./identity/identity";
import type { Who } from "./identity/who";
import { DatabaseShelf } from "./outbox/database";
import { MemoryShelf } from "./outbox/shelf";
import { Pauses } from "./pause";
import { Api } from "./protocol/api";
import { type Credentials, Http, NOBODY } from "./protocol/http";
import { Session } from "./session";
import { Tabs } from "./tabs";

export interface PeopleParts {
  readonly env: Environment;
  readonly base: string;
  /** Something is to be shown, soon. */
  readonly changed: () => void;
  /** Something is to be shown now: somebody else is here, or a person did it. */
  readonly tell: () => void;
}

const NAME = "chatkit-neon";
const AGAIN_MS = 3_000;

/** Who is before the page, and what they have before them. Somebody else gets another session. */
export class People {
  readonly identity: Identity;
  readonly connection: ServerConnection;
  session: Session;
  readonly #name: string;
  readonly #shelf: DatabaseShelf | null;
  readonly #memory = new MemoryShelf();
  readonly #tabs: Tabs<{ readonly kind: "identity" }>;
  readonly #pauses: Pauses;
  readonly #going: Going;
  readonly #end = new AbortController();
  readonly #unhint: () => void;
  #who: Who;
  /** Whom the browser remembered when this tab looked last. */
  #remembered: string;
  #finding: Promise<void> | null = null;

  constructor(private readonly parts: PeopleParts) {
    const { env, base, tell } = parts;
    const name = base === "" ? NAME : `${NAME}@${base}`;
    const pauses = new Pauses(env);
    const connection = new ServerConnection(env, base, () => this.#connectionChanged());
    const nobody = new Http(env, base, NOBODY, connection.heard);
    const identity = new Identity(env, nobody, name, isElsewhere(base));
    [this.#name, this.#pauses, this.connection, this.identity] = [name, pauses, connection, identity];
    this.#shelf = env.indexedDB && new DatabaseShelf(env.indexedDB, name, env);
    this.#tabs = new Tabs(env, name, () => this.#anotherTabChangedWho());
    this.#who = identity.remembered();
    this.#remembered = this.#who.owner;
    this.#unhint = env.hints(() => this.#lookWho());
    const claiming = () => this.#apiAs(identity.claiming(identity.credentials(this.#who, () => {})));
    const may = () => this.mayChat && identity.known;
    const who = () => this.#who;
    const end = this.#end.signal;
    this.#going = new Going({ env, name, identity, connection, pauses, end, may, who, claiming, tell });
    this.session = this.#sessionOf(this.#who);
  }

  get person(): Person {
    const { known, ways, policy } = this.identity;
    const who = this.#who;
    if (who.kind === "account") return { kind: "account", id: who.id, name: who.name, ways };
    if (!known) return { kind: "unknown" };
    return { kind: "visitor", kept: policy.anonymous === "persist", mayChat: this.mayChat, ways };
  }

  get mayChat(): boolean {
    return this.#who.kind === "account" || this.identity.policy.anonymous !== "deny";
  }

  /** Finds out who is here; while nobody can be asked, whoever was here last is taken to be. */
  find(): Promise<void> {
    this.#finding ??= this.#ask().finally(() => {
      this.#finding = null;
    });
    return this.#finding;
  }

  async enter(sign: () => Promise<Who>): Promise<void> {
    const before = this.#who;
    const who = await sign();
    // Of two who sign in before the first could be given what the visitor said, it stays the first one's.
    if (before.kind === "visitor" && who.kind === "account" && !this.#isPromised(before)) {
      this.identity.handover = { visitor: before.owner, account: who.owner };
    }
    this.#tabs.tell({ kind: "identity" });
    await this.#become(who);
  }

  async leave(): Promise<void> {
    if (this.#who.kind !== "account") return;
    const visitor = await this.identity.signOut(this.#who.way);
    this.#tabs.tell({ kind: "identity" });
    await this.#become(visitor);
  }

  /** Does now what waits for its next try. */
  retry(): void {
    this.#pauses.wake();
    this.session.retry();
  }

  close(): void {
    this.#end.abort();
    this.session.close();
    this.connection.close();
    this.#unhint();
    this.#tabs.close();
  }

  #isPromised(visitor: Who): boolean {
    return this.identity.handover?.visitor === visitor.owner;
  }

  #sessionOf(who: Who): Session {
    return new Session({
      env: this.parts.env,
      name: this.#name,
      owner: who.owner,
      api: this.#apiAs(this.identity.credentials(who, this.#findAgain)),
      connection: this.connection,
      policy: () => this.identity.policy,
      shelf: this.#shelf,
      memory: this.#memory,
      changed: this.parts.changed,
    });
  }

  #apiAs(credentials: Credentials): Api {
    const { env, base } = this.parts;
    return new Api(new Http(env, base, credentials, this.connection.heard), env);
  }

  /** Nobody waits for this one; what goes wrong shows when something is asked of the server. */
  readonly #findAgain = (): void => {
    this.find().catch(() => {});
  };

  async #ask(): Promise<void> {
    try {
      await this.#become(await this.identity.find());
    } catch (error) {
      if (!isSilence(error) || this.#end.signal.aborted) throw error;
      void this.#askAgain();
    }
  }

  async #askAgain(): Promise<void> {
    await this.#pauses.wait(AGAIN_MS * (0.5 + this.parts.env.random()), this.#end.signal);
    await this.connection.online(this.#end.signal);
    if (!this.#end.signal.aborted) this.#findAgain();
  }

  async #become(who: Who): Promise<void> {
    if (this.#end.signal.aborted) return;
    await this.#switch(who);
    await this.#going.on(this.session);
  }

  /** Has somebody before the page. Nothing of one person's is sent, shown or noted in the name of the next. */
  async #switch(who: Who): Promise<void> {
    const same = who.owner === this.#who.owner && !this.session.closed;
    this.#who = who;
    this.#remembered = this.identity.remembered().owner;
    if (!same) {
      this.session.close();
      this.session = this.#sessionOf(who);
      await this.session.begin();
    }
    this.parts.tell();
  }

  /** A page that slept was told nothing, and where tabs cannot talk none is. */
  #lookWho(): void {
    if (this.identity.remembered().owner !== this.#remembered) this.#anotherTabChangedWho();
  }

  #anotherTabChangedWho(): void {
    // What is remembered is shared by all tabs: what was somebody's is out of sight before anybody is asked.
    this.session.close();
    this.identity.changedElsewhere();
    void this.#switch(this.identity.remembered());
    // At once: what is restored is in view already.
    this.parts.tell();
    // One that runs already may have asked before the change.
    void Promise.resolve(this.#finding).then(this.#findAgain, this.#findAgain);
  }

  #connectionChanged(): void {
    this.parts.changed();
    if (this.connection.state.kind !== "online") return;
    if (this.identity.known) void this.#going.on(this.session);
    else this.#pauses.wake();
  }
}

function isElsewhere(base: string): boolean {
  return base !== "" && "location" in globalThis && new URL(base, location.href).origin !== location.origin;
}
