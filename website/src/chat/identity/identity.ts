import type { SignInWays } from "../contract";
import type { Environment } from "../environment";
import { Failure } from "../protocol/failure";
import type { Credentials, Http } from "../protocol/http";
import { fieldsOf, wordsOf } from "../protocol/wire";
import { Accounts } from "./accounts";
import { demoToken, nameOfDemoUser } from "./demo";
import { type Policy, readPolicy, UNKNOWN_POLICY } from "./policy";
import { Bearer } from "./token";
import { VisitorId, VisitorName } from "./visitor";
import { accountOwner, type SignedInBy, visitorOwner, type Who } from "./who";

/** What is remembered of who was here last, to show what waits while nobody can be asked. */
interface Remembered {
  readonly id: string;
  readonly name: string;
  readonly demoUser: string | null;
}

/** A visitor's messages that are to become an account's; noted until that is done, through crashes. */
export interface Handover {
  readonly visitor: string;
  readonly account: string;
}

/** Who looks at this page, and how one becomes somebody else. */
export class Identity {
  policy: Policy = UNKNOWN_POLICY;
  ways: SignInWays = { password: false, demoUsers: [] };
  /** Whether the server was asked yet. */
  known = false;
  /** How often somebody came or went: what was asked before is not so any more. */
  #turns = 0;
  readonly #accounts: Accounts;
  readonly #visitorName: VisitorName;
  readonly #visitorId: VisitorId;

  constructor(
    private readonly env: Environment,
    private readonly http: Http,
    private readonly name: string,
    elsewhere: boolean,
  ) {
    this.#accounts = new Accounts(http);
    this.#visitorName = new VisitorName(env, `${name}.browser`);
    this.#visitorId = new VisitorId(env, `${name}.visitor`, elsewhere);
  }

  /** Who was here last; a visitor where that is not known. Asks nobody. */
  remembered(): Who {
    const account = this.#remembered();
    return account === null ? this.visitor() : accountOf(account);
  }

  visitor(): Who {
    return { kind: "visitor", owner: visitorOwner(this.#visitorName.current()) };
  }

  /** Asks the servers who is here. */
  async find(): Promise<Who> {
    const turn = this.#turns;
    const [policy, signedIn] = await Promise.all([
      readPolicy(this.http, this.env.now),
      this.#accounts.whoIsSignedIn(),
    ]);
    if (turn !== this.#turns) return this.find();
    this.policy = policy;
    this.ways = { password: signedIn !== undefined, demoUsers: policy.demoUsers };
    this.known = true;
    this.#visitorName.follow(policy);
    const last = this.#remembered();
    if (last !== null && last.demoUser !== null && policy.demoUsers.includes(last.demoUser))
      return accountOf(last);
    if (signedIn) return this.#remember({ ...signedIn, demoUser: null });
    this.#forget();
    return this.visitor();
  }

  async signIn(email: string, password: string): Promise<Who> {
    return this.#came({ ...(await this.#accounts.signIn(email, password)), demoUser: null });
  }

  async signUp(email: string, password: string): Promise<Who> {
    return this.#came({ ...(await this.#accounts.signUp(email, password)), demoUser: null });
  }

  async signInAs(demoUser: string): Promise<Who> {
    const { subject } = await demoToken(this.http, demoUser);
    return this.#came({ id: subject, name: nameOfDemoUser(demoUser), demoUser });
  }

  async signOut(way: SignedInBy): Promise<Who> {
    if (way.by === "password") await this.#accounts.signOut();
    this.#turns++;
    this.#forget();
    return this.visitor();
  }

  /** Somebody else is here by now: what is being asked is asked anew. */
  changedElsewhere(): void {
    this.#turns++;
  }

  /** What somebody's requests carry. `strayed`: the browser is somebody else's by now. */
  credentials(who: Who, strayed: () => void): Credentials {
    if (who.kind === "visitor") return this.#visitorId;
    const { way } = who;
    const newToken = way.by === "demo" ? () => demoToken(this.http, way.user) : () => this.#accounts.token();
    return new Bearer(who.id, newToken, this.env.now, strayed);
  }

  /** Those of an account, with what proves which visitor it was. */
  claiming(account: Credentials): Credentials {
    return {
      headers: async () => ({ ...(await this.#visitorId.headers()), ...(await account.headers()) }),
      refused: () => account.refused(),
      answered: () => {},
    };
  }

  /** The visitor became an account: whoever is a visitor next is somebody else. */
  visitorIsGone(): void {
    this.#visitorId.forget();
    this.#visitorName.renew();
  }

  get handover(): Handover | null {
    const fields = this.#read("handover");
    const [visitor, account] = [wordsOf(fields.visitor), wordsOf(fields.account)];
    return visitor !== null && account !== null ? { visitor, account } : null;
  }

  set handover(handover: Handover | null) {
    this.#write("handover", handover);
  }

  #came(account: Remembered): Who {
    this.#turns++;
    return this.#remember(account);
  }

  #remember(account: Remembered): Who {
    this.#write("person", account);
    return accountOf(account);
  }

  #remembered(): Remembered | null {
    const fields = this.#read("person");
    const id = wordsOf(fields.id);
    return id === null ? null : { id, name: wordsOf(fields.name) ?? id, demoUser: wordsOf(fields.demoUser) };
  }

  #forget(): void {
    this.#write("person", null);
  }

  #read(what: string) {
    try {
      return fieldsOf(JSON.parse(this.env.storage?.getItem(`${this.name}.${what}`) ?? "null"));
    } catch {
      return {};
    }
  }

  #write(what: string, value: unknown): void {
    try {
      if (value === null) this.env.storage?.removeItem(`${this.name}.${what}`);
      else this.env.storage?.setItem(`${this.name}.${what}`, JSON.stringify(value));
    } catch {
      // Full or forbidden: then nothing is known offline of who was here.
    }
  }
}

function accountOf({ id, name, demoUser }: Remembered): Who {
  const way: SignedInBy = demoUser === null ? { by: "password" } : { by: "demo", user: demoUser };
  return { kind: "account", owner: accountOwner(id), id, name, way };
}

/** Tells whether a failure means that nobody could be asked. */
export function isSilence(error: unknown): boolean {
  return error instanceof Failure && error.canRetry;
}
