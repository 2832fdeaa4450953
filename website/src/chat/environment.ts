/** What the chat needs of the browser; tests put their own in its place. */

/** A channel to the other tabs of this browser. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
  close(): void;
}

export interface Environment {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Returns what calls it off. */
  readonly after: (milliseconds: number, run: () => void) => () => void;
  readonly newId: () => string;
  /** Null where there are none: then every tab sends, and the keys alone keep messages from being doubled. */
  readonly locks: Pick<LockManager, "request"> | null;
  readonly indexedDB: IDBFactory | null;
  readonly openChannel: ((name: string) => Channel) | null;
  /** Kept for long, for all tabs; null where the browser keeps nothing. */
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
  /** Names that are gone when the browser is closed, for all tabs. */
  readonly cookies: { read(name: string): string | null; write(name: string, value: string): void } | null;
  /** Whether this device says that it has a network: true proves nothing, and false not that a server is out of reach. */
  readonly hasNetwork: () => boolean;
  /** Calls back when connection may have come or gone, or somebody looks at the page again. Returns what ends that. */
  readonly hints: (changed: () => void) => () => void;
}

export function browser(): Environment {
  return {
    fetch: (url, init) => fetch(url, init),
    now: () => Date.now(),
    random: () => Math.random(),
    after: (milliseconds, run) => {
      const timer = setTimeout(run, milliseconds);
      return () => clearTimeout(timer);
    },
    newId: randomId,
    locks: globalThis.navigator?.locks ?? null,
    indexedDB: attempt(() => globalThis.indexedDB),
    openChannel: "BroadcastChannel" in globalThis ? (name) => new BroadcastChannel(name) : null,
    // Reading the property alone throws where a browser blocks storage.
    storage: attempt(() => globalThis.localStorage),
    cookies: "document" in globalThis ? documentCookies : null,
    hasNetwork: () => globalThis.navigator?.onLine !== false,
    hints: onHints,
  };
}

const documentCookies = {
  read(name: string): string | null {
    const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
    return found?.slice(name.length + 1) ?? null;
  },
  write(name: string, value: string): void {
    // The Cookie Store API is not in every browser yet, and has none of the trouble of parsing here.
    // biome-ignore lint/suspicious/noDocumentCookie: the lifetime of a session cookie is what is wanted.
    document.cookie = `${name}=${value}; path=/; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
  },
};

function onHints(changed: () => void): () => void {
  const visible = () => document.visibilityState === "visible" && changed();
  window.addEventListener("online", changed);
  window.addEventListener("offline", changed);
  document.addEventListener("visibilitychange", visible);
  // Fetched back from the browser's memory of pages: whatever was said meanwhile was not heard.
  window.addEventListener("pageshow", changed);
  return () => {
    window.removeEventListener("online", changed);
    window.removeEventListener("offline", changed);
    document.removeEventListener("visibilitychange", visible);
    window.removeEventListener("pageshow", changed);
  };
}

/** 128 random bits. `crypto.randomUUID` is only there on https and localhost. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function attempt<T>(read: () => T | undefined): T | null {
  try {
    return read() ?? null;
  } catch {
    return null;
  }
}
