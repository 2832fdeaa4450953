import type { Chat, ChatState } from "./contract";
import { browser, type Environment } from "./environment";
import { People } from "./people";
import { Failure, problemOf } from "./protocol/failure";
import type { Session } from "./session";
import { Publisher } from "./state/publisher";
import { show } from "./view";

export interface ChatOptions extends Partial<Environment> {
  /** Where the API is; empty for the origin of the page. */
  readonly base?: string;
}

export function createChat({ base = "", ...own }: ChatOptions = {}): Chat {
  return new BrowserChat({ ...browser(), ...own }, base.replace(/\/+$/, ""));
}

/** What can be done, for whoever draws the chat: each deed is shown at once, and says in words what went wrong. */
class BrowserChat implements Chat {
  readonly #people: People;
  readonly #publisher: Publisher<ChatState>;

  constructor(env: Environment, base: string) {
    this.#people = new People({
      env,
      base,
      changed: () => this.#publisher.changed(),
      tell: () => this.#publisher.tell(),
    });
    this.#publisher = new Publisher(env, (old) => {
      const { session, person, connection, identity } = this.#people;
      return show(old, { session, person, connection: connection.state, policy: identity.policy });
    });
  }

  readonly getState = (): ChatState => this.#publisher.state;

  readonly subscribe = (changed: () => void): (() => void) => this.#publisher.subscribe(changed);

  async start(): Promise<void> {
    await this.#session.begin();
    this.#publisher.tell();
    await this.#people.find();
  }

  close(): void {
    this.#people.close();
    this.#publisher.close();
  }

  newThread(): void {
    this.#session.desk.go(null);
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
    return this.#do(this.#session.edits.rename(key, title));
  }

  deleteThread(key: string): Promise<void> {
    return this.#do(this.#session.edits.deleteThread(key));
  }

  send(text: string): Promise<void> {
    if (text.trim() === "") return Promise.resolve();
    if (!this.#people.mayChat)
      return Promise.reject(problemOf(new Failure("Please sign in to chat.", "unauthorized")));
    return this.#do(this.#session.send(text));
  }

  retry(): void {
    this.#people.retry();
  }

  takeBack(entryKey: string): Promise<string> {
    return this.#do(this.#session.takeBack(entryKey));
  }

  stop(): Promise<void> {
    return this.#do(this.#session.answers.stop(this.#session.desk.open));
  }

  join(_entryKey: string): Promise<void> {
    return this.#do(this.#session.answers.join(this.#session.desk.open));
  }

  regenerate(): Promise<void> {
    return this.#do(this.#session.answers.regenerate(this.#session.desk.open));
  }

  deleteEntry(entryKey: string): Promise<void> {
    return this.#do(this.#session.edits.deleteEntry(entryKey));
  }

  rate(entryKey: string, opinion: "positive" | "negative"): Promise<void> {
    return this.#do(this.#session.edits.rate(entryKey, opinion));
  }

  signIn(email: string, password: string): Promise<void> {
    return this.#do(this.#people.enter(() => this.#people.identity.signIn(email, password)));
  }

  signUp(email: string, password: string): Promise<void> {
    return this.#do(this.#people.enter(() => this.#people.identity.signUp(email, password)));
  }

  signInAs(demoUser: string): Promise<void> {
    return this.#do(this.#people.enter(() => this.#people.identity.signInAs(demoUser)));
  }

  signOut(): Promise<void> {
    return this.#do(this.#people.leave());
  }

  get #session(): Session {
    return this.#people.session;
  }

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
}
