import type { Desk } from "./desk";
import type { Listing } from "./listing";
import { mayHaveArrived } from "./outbox/message";
import type { Outbox } from "./outbox/outbox";
import type { Api, Opinion } from "./protocol/api";
import { Failure } from "./protocol/failure";

/** What a person changes of what is there, on the server. Each rejects with a Failure when it is not done. */
export class Edits {
  constructor(
    private readonly api: Api,
    private readonly desk: Desk,
    private readonly listing: Listing,
    private readonly outbox: Outbox,
  ) {}

  async rename(key: string, title: string): Promise<void> {
    const { id } = this.desk.conversation(key);
    if (id === null) throw new Failure("This conversation is not on the server yet.", "refused");
    await this.api.rename(id, title);
    this.listing.threads.change(id, { title });
    this.desk.conversation(id).title = title;
  }

  async deleteThread(key: string): Promise<void> {
    const conversation = this.desk.conversation(key);
    const waiting = this.desk.waitingIn(conversation);
    if (conversation.id === null && waiting.some(mayHaveArrived)) {
      throw new Failure(
        "This conversation is on its way to the server. Delete it when it has arrived.",
        "refused",
      );
    }
    if (conversation.id !== null) await this.api.deleteThread(conversation.id);
    for (const message of [...waiting, ...this.outbox.wishesIn(conversation)])
      await this.outbox.remove(message);
    this.desk.drop(conversation);
  }

  async deleteEntry(key: string): Promise<void> {
    const { open } = this.desk;
    const { node, id } = this.desk.item(key);
    await this.api.deleteItem(id, node.item.id);
    open.transcript.remove(node.item.id);
    this.listing.loadSoon();
  }

  async rate(key: string, opinion: Opinion): Promise<void> {
    const { open } = this.desk;
    const { node, id } = this.desk.item(key);
    await this.api.rate(id, node.item.id, opinion);
    open.opinions = { ...open.opinions, [node.item.id]: opinion };
  }
}
