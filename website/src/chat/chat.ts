import { delayOf } from "./connection/backoff";
import { ServerConnection } from "./connection/connection";
import type { Chat, ChatState, Person } from "./contract";
import { browser, type Environment } from "./environment";
import { type Handover, Identity, isSilence } from "./identity/identity";
import type { Who } from "./identity/who";
import { DatabaseShelf } from "./outbox/database";
import { MemoryShelf } from "./outbox/shelf";
import { Pauses } from "./pause";
import { Api } from "./protocol/api";
import { Failure, problemOf } from "./protocol/failure";
import { Http, NOBODY } from "./protocol/http";
import { Session } from "./session";
import { Publisher } from "./state/publisher";
import { Tabs } from "./tabs";
import { show } from "./view";

export interface ChatOptions extends Partial<Environment> {
  /** Where the API is; empty for the origin of the page. */
  readonly base?: string;
}

const NAME = "chatkit-neon";
const AGAIN_MS = 3_000;
const LONGEST_DELAY_MS = 120_000;

export function createChat({ base = "", ...own }: ChatOptions = {}): Chat {
  return new BrowserChat({ ...browser(), ...own }, base.replace(/\/+$/, ""));
}

class BrowserChat implements Chat {
  readonly #name: string;
  readonly #connection: ServerConnection;
  readonly #identity: Identity;
  readonly #shelf: DatabaseShelf | null;
  readonly #memory = new MemoryShelf();
  readonly #publisher: Publisher<ChatState>;
  readonly #tabs: Tabs<{ readonly kind: "identity" }>;
  readonly #pauses: Pauses;
  readonly #end = new AbortController();
  readonly #unhint: () => void;
  #who: Who;
  /** Whom the browser remembered when this tab looked last. */
  #remembered: string;
  #session: Session;
  #finding: Promise<void> | null = null;
  /** Whether going on is put off already. */
  #waits = false;
  #putOff = 0;

  constructor(
    private readonly env: Environment,
    private readonly base: string,
  ) {
    this.#name = base === "" ? NAME : `${NAME}@${base}`;
    this.#pauses = new Pauses(env);
    this.#connection = new ServerConnection(env, base, () => this.#connectionChanged());
    const nobody = new Http(env, base, NOBODY, this.#connection.heard);
    this.#identity = new Identity(env, nobody, this.#name, isElsewhere(base));
    this.#shelf = env.indexedDB && new DatabaseShelf(env.indexedDB, this.#name, env);
    this.#tabs = new Tabs(env, this.#name, () => this.#anotherTabChangedWho());
    this.#who = this.#identity.remembered();
    this.#remembered = this.#who.owner;
    this.#unhint = env.hints(() => this.#lookWho());
    this.#session = this.#sessionOf(this.#who);
    this.#publisher = new Publisher(env, (old) =>
      show(old, {
        session: this.#session,
        person: this.#person(),
        connection: this.#connection.state,
        policy: this.#identity.policy,
      }),
    );
  }

  readonly getState = (): ChatState => this.#publisher.state;

  readonly subscribe = (changed: () => void): (() => void) => this.#publisher.subscribe(changed);

  async start(): Promise<void> {
    await this.#session.begin();
    this.#publisher.tell();
    await this.#find();
  }

  close(): void {
    this.#end.abort();
    this.#session.close();
    this.#connection.close();
    this.#unhint();
    this.#tabs.close();
    this.#publisher.close();
  }

  newThread(): void {
    this.#session.newThread();
    this.#publisher.tell();
  }

  openThread(key: string): Promise<void> {
    return this.#do(this.#session.openThread(key));
  }

  loadMoreThreads(): Promise<void> {
    return this.#do(this.#session.listing.loadMore());
  }

  loadOlder(): Promise<void> {
    return this.#do(this.#session.loadOlder());
  }

  renameThread(key: string, title: string): Promise<void> {
    return this.#do(this.#session.rename(key, title));
  }

  deleteThread(key: string): Promise<void> {
    return this.#do(this.#session.deleteThread(key));
  }

  send(text: string): Promise<void> {
    if (text.trim() === "") return Promise.resolve();
    if (!this.#mayChat)
      return Promise.reject(problemOf(new Failure("Please sign in to chat.", "unauthorized")));
    return this.#do(this.#session.send(text));
  }

  retry(): void {
    this.#pauses.wake();
    this.#session.retry();
  }

  takeBack(entryKey: string): Promise<string> {
    return this.#do(this.#session.takeBack(entryKey));
  }

  stop(): Promise<void> {
    return this.#do(this.#session.answers.stop(this.#session.open));
  }

  join(_entryKey: string): Promise<void> {
    return this.#do(this.#session.answers.join(this.#session.open));
  }

  regenerate(): Promise<void> {
    return this.#do(this.#session.answers.regenerate(this.#session.open));
  }

  deleteEntry(entryKey: string): Promise<void> {
    return this.#do(this.#session.deleteEntry(entryKey));
  }

  rate(entryKey: string, opinion: "positive" | "negative"): Promise<void> {
    return this.#do(this.#session.rate(entryKey, opinion));
  }

  signIn(email: string, password: string): Promise<void> {
    return this.#do(this.#enter(() => this.#identity.signIn(email, password)));
  }

  signUp(email: string, password: string): Promise<void> {
    return this.#do(this.#enter(() => this.#identity.signUp(email, password)));
  }

  signInAs(demoUser: string): Promise<void> {
    return this.#do(this.#enter(() => this.#identity.signInAs(demoUser)));
  }

  signOut(): Promise<void> {
    const who = this.#who;
    if (who.kind !== "account") return Promise.resolve();
    return this.#do(
      this.#identity.signOut(who.way).then((visitor) => {
        this.#tabs.tell({ kind: "identity" });
        return this.#become(visitor);
      }),
    );
  }

  /** Shows at once what a person did, and says in words what went wrong with it. */
  async #do<T>(deed: Promise<T>): Promise<T> {
    this.#publisher.tell();
    try {
      return await deed;
    } catch (error) {
      throw problemOf(error);
    } finally {
      this.#publisher.tell();
    }
  }

  get #mayChat(): boolean {
    return this.#who.kind === "account" || this.#identity.policy.anonymous !== "deny";
  }

  #person(): Person {
    const { known, ways, policy } = this.#identity;
    const who = this.#who;
    if (who.kind === "account") return { kind: "account", id: who.id, name: who.name, ways };
    if (!known) return { kind: "unknown" };
    return { kind: "visitor", kept: policy.anonymous === "persist", mayChat: this.#mayChat, ways };
  }

  #sessionOf(who: Who): Session {
    return new Session({
      env: this.env,
      name: this.#name,
      owner: who.owner,
      api: this.#apiOf(who),
      connection: this.#connection,
      policy: () => this.#identity.policy,
      shelf: this.#shelf,
      memory: this.#memory,
      changed: () => this.#publisher.changed(),
    });
  }

  #apiOf(who: Who): Api {
    const credentials = this.#identity.credentials(who, () => this.#findAgain());
    return new Api(new Http(this.env, this.base, credentials, this.#connection.heard), this.env);
  }

  /** Finds out who is here; while nobody can be asked, whoever was here last is taken to be. */
  #find(): Promise<void> {
    this.#finding ??= this.#ask().finally(() => {
      this.#finding = null;
    });
    return this.#finding;
  }

  /** Nobody waits for this one; what goes wrong shows when something is asked of the server. */
  readonly #findAgain = (): void => {
    this.#find().catch(() => {});
  };

  async #ask(): Promise<void> {
    try {
      await this.#become(await this.#identity.find());
    } catch (error) {
      if (!isSilence(error) || this.#end.signal.aborted) throw error;
      void this.#askAgain();
    }
  }

  async #askAgain(): Promise<void> {
    await this.#pauses.wait(AGAIN_MS * (0.5 + this.env.random()), this.#end.signal);
    await this.#connection.online(this.#end.signal);
    if (!this.#end.signal.aborted) this.#findAgain();
  }

  async #enter(sign: () => Promise<Who>): Promise<void> {
    const before = this.#who;
    const who = await sign();
    if (before.kind === "visitor" && who.kind === "account") {
      this.#identity.handover = { visitor: before.owner, account: who.owner };
    }
    this.#tabs.tell({ kind: "identity" });
    await this.#become(who);
  }

  async #become(who: Who): Promise<void> {
    if (this.#end.signal.aborted) return;
    await this.#switch(who);
    await this.#goOn();
  }

  /** Has somebody before the page. Nothing of one person's is sent, shown or noted in the name of the next. */
  async #switch(who: Who): Promise<void> {
    const same = who.owner === this.#who.owner && !this.#session.closed;
    this.#who = who;
    this.#remembered = this.#identity.remembered().owner;
    if (!same) {
      this.#session.close();
      this.#session = this.#sessionOf(who);
      await this.#session.begin();
    }
    this.#publisher.tell();
  }

  async #goOn(): Promise<void> {
    if (!this.#mayChat || !this.#identity.known) return;
    const session = this.#session;
    await this.#takeOver(session);
    if (this.#who.kind === "account") await session.goOn();
    else await this.#oneByOne(() => session.goOn());
    this.#publisher.tell();
    if (!session.served || this.#handover() !== null) void this.#goOnLater(session);
    else this.#putOff = 0;
  }

  async #goOnLater(session: Session): Promise<void> {
    if (this.#waits) return;
    this.#waits = true;
    const delay = AGAIN_MS * 0.5 + delayOf(this.#putOff++, LONGEST_DELAY_MS, this.env.random());
    await this.#pauses.wait(delay, this.#end.signal);
    await this.#connection.online(this.#end.signal);
    this.#waits = false;
    if (!session.closed) await this.#goOn();
  }

  /** Two tabs that begin at once would be two visitors. */
  async #oneByOne(work: () => Promise<void>): Promise<void> {
    let begun = false;
    const once = () => {
      begun = true;
      return work();
    };
    try {
      if (this.env.locks !== null) await this.env.locks.request(`${this.#name}:first`, once);
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
    const credentials = this.#identity.claiming(this.#identity.credentials(this.#who, () => {}));
    const api = new Api(new Http(this.env, this.base, credentials, this.#connection.heard), this.env);
    try {
      await api.claim();
    } catch (error) {
      // What cannot be claimed is not there any more; all else is tried again when the server is back.
      if (isSilence(error) || (error instanceof Failure && error.kind === "unauthorized")) return;
    }
    if (!(await session.outbox.takeOver(handover.visitor))) return;
    this.#identity.visitorIsGone();
    this.#identity.handover = null;
  }

  /** What is still to be handed over to whoever is here. */
  #handover(): Handover | null {
    const { handover } = this.#identity;
    return handover?.account === this.#who.owner ? handover : null;
  }

  /** A page that slept was told nothing, and where tabs cannot talk none is. */
  #lookWho(): void {
    if (this.#identity.remembered().owner !== this.#remembered) this.#anotherTabChangedWho();
  }

  #anotherTabChangedWho(): void {
    // What is remembered is shared by all tabs: what was somebody's is out of sight before anybody is asked.
    this.#session.close();
    this.#identity.changedElsewhere();
    void this.#switch(this.#identity.remembered());
    // At once: what is restored is in view already.
    this.#publisher.tell();
    // One that runs already may have asked before the change.
    void Promise.resolve(this.#finding).then(this.#findAgain, this.#findAgain);
  }

  #connectionChanged(): void {
    this.#publisher.changed();
    if (this.#connection.state.kind !== "online") return;
    if (this.#identity.known) void this.#goOn();
    else this.#pauses.wake();
  }
}

function isElsewhere(base: string): boolean {
  return base !== "" && "location" in globalThis && new URL(base, location.href).origin !== location.origin;
}
