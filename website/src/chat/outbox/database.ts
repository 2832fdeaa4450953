import { type DBSchema, type IDBPDatabase, type IDBPTransaction, unwrap, wrap } from "idb";
import type { Environment } from "../environment";
import { type Draft, mayHaveArrived, type Unsent } from "./message";
import type { Shelf } from "./shelf";

const VERSION = 1;
/** Some browsers answer a blocked open with nothing at all. */
const PATIENCE_MS = 3_000;
const STORE = "unsent";

interface Schema extends DBSchema {
  unsent: { key: number; value: Unsent; indexes: { owner: string } };
}

type Database = IDBPDatabase<Schema>;
type Writing = IDBPTransaction<Schema, "unsent"[], "readwrite">;

/** In IndexedDB, for all tabs, through reloads and crashes. */
export class DatabaseShelf implements Shelf {
  #opened: Promise<Database> | null = null;

  constructor(
    private readonly factory: IDBFactory,
    private readonly name: string,
    private readonly env: Environment,
  ) {}

  async all(owner: string): Promise<Unsent[]> {
    const database = await this.#database();
    const messages = await database.getAllFromIndex(STORE, "owner", owner);
    return messages.sort((a, b) => a.seq - b.seq);
  }

  add(draft: Draft): Promise<Unsent> {
    return this.#write(async (writing) => {
      // The store gives the number: one order for all tabs.
      const seq = await writing.objectStore(STORE).add(draft as Unsent);
      return { ...draft, seq };
    });
  }

  replace(message: Unsent): Promise<boolean> {
    return this.#write(async (writing) => {
      // Another tab may have removed it meanwhile; that is for good.
      const isThere = await isOwned(writing, message);
      if (isThere) await writing.objectStore(STORE).put(message);
      return isThere;
    });
  }

  remove(message: Unsent): Promise<void> {
    return this.#write(async (writing) => {
      if (await isOwned(writing, message)) await writing.objectStore(STORE).delete(message.seq);
    });
  }

  withdraw(message: Unsent): Promise<boolean> {
    return this.#write(async (writing) => {
      const stored = await writing.objectStore(STORE).get(message.seq);
      if (stored?.owner !== message.owner || mayHaveArrived(stored)) return false;
      await writing.objectStore(STORE).delete(message.seq);
      return true;
    });
  }

  confirm(message: Unsent, threadId: string): Promise<void> {
    return this.#write(async (writing) => {
      if (!(await isOwned(writing, message))) return;
      await writing.objectStore(STORE).delete(message.seq);
      const same = (other: Unsent) => other.thread === message.thread;
      await changeOwned(writing, message.owner, same, (other) => ({ ...other, thread: threadId }));
    });
  }

  hand(from: string, to: string): Promise<void> {
    return this.#write((writing) =>
      changeOwned(
        writing,
        from,
        () => true,
        (message) => ({ ...message, owner: to }),
      ),
    );
  }

  async #write<T>(work: (writing: Writing) => Promise<T>): Promise<T> {
    const database = await this.#database();
    // On the disk before anything is sent; the browser's default leaves that to the operating system.
    const writing = database.transaction([STORE], "readwrite", { durability: "strict" });
    const [result] = await Promise.all([work(writing), writing.done]);
    return result;
  }

  #database(): Promise<Database> {
    this.#opened ??= this.#open().catch((error) => {
      this.#opened = null;
      throw error;
    });
    return this.#opened;
  }

  #open(): Promise<Database> {
    return new Promise((resolve, reject) => {
      const call = this.env.after(PATIENCE_MS, () => reject(new Error("IndexedDB does not answer.")));
      // Not idb's own openDB: that one opens the global IndexedDB only.
      const request = this.factory.open(this.name, VERSION);
      request.onupgradeneeded = () => {
        const store = request.result.createObjectStore(STORE, { keyPath: "seq", autoIncrement: true });
        store.createIndex("owner", "owner");
      };
      request.onerror = () => {
        call();
        reject(request.error);
      };
      request.onsuccess = () => {
        call();
        const database = wrap(request.result) as unknown as Database;
        resolve(this.#watched(database));
      };
    });
  }

  /** Opened anew after the browser closed it, or another release of this page wants to change it. */
  #watched(database: Database): Database {
    const plain = unwrap(database);
    const forget = () => {
      this.#opened = null;
    };
    plain.onclose = forget;
    plain.onversionchange = () => {
      forget();
      plain.close();
    };
    return database;
  }
}

/**
 * Tells whether a message is there, and still the same owner's. One that was handed over to an account is no
 * visitor's to remove any more, whatever the server said to that visitor meanwhile.
 */
async function isOwned(writing: Writing, message: Unsent): Promise<boolean> {
  return (await writing.objectStore(STORE).get(message.seq))?.owner === message.owner;
}

async function changeOwned(
  writing: Writing,
  owner: string,
  which: (message: Unsent) => boolean,
  change: (message: Unsent) => Unsent,
): Promise<void> {
  const store = writing.objectStore(STORE);
  const owned = await store.index("owner").getAll(owner);
  await Promise.all(owned.filter(which).map((message) => store.put(change(message))));
}
