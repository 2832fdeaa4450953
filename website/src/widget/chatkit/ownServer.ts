import { type Change, Changes } from "../../chat/connection/changes";
import { ServerConnection } from "../../chat/connection/connection";
import { browser, type Environment } from "../../chat/environment";
import { Identity } from "../../chat/identity/identity";
import { Pauses } from "../../chat/pause";
import { Api } from "../../chat/protocol/api";
import { Http, NOBODY } from "../../chat/protocol/http";
import { keyedFetch } from "./keyedFetch";

/** What the vendor's component needs to know of our server, for whoever is signed in. */
export interface OwnServer {
  readonly url: string;
  readonly fetch: typeof fetch;
  /** The most recent conversation; null where there is none. */
  readonly latestThread: string | null;
  /** Calls back with the conversation that changed on any device, or null when it may be any. Returns what ends that. */
  follow(changed: (threadId: string | null) => void): () => void;
}

export async function findOwnServer(base: string, env: Environment = browser()): Promise<OwnServer> {
  const connection = new ServerConnection(env, base, () => {});
  const elsewhere = base !== "" && new URL(base, location.href).origin !== location.origin;
  // The name under which our own chat remembers who is here: one sign-in for both.
  const name = base === "" ? "chatkit-neon" : `chatkit-neon@${base}`;
  const identity = new Identity(env, new Http(env, base, NOBODY, connection.heard), name, elsewhere);
  const credentials = identity.credentials(await identity.find(), () => location.reload());
  const api = new Api(new Http(env, base, credentials, connection.heard), env);
  const newest = await api.threads(1, null);
  return {
    url: new URL(`${base}/chatkit`, location.href).href,
    fetch: keyedFetch(env, credentials),
    latestThread: newest.data[0]?.id ?? null,
    follow: (changed) => {
      const end = new AbortController();
      const any = () => changed(null);
      const some = (change: Change) => changed(change.threadId);
      const changes = new Changes(env, api, connection, new Pauses(env), some, any, any);
      void changes.run(end.signal);
      return () => end.abort();
    },
  };
}
