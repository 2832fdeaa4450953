import { type Chat, createChat } from "../../chat";
import type { ChatSettings } from "../settings";

/** The chat of this page, on its way. That a server does not answer is in its state; anything else is a bug. */
export function startChat({ server }: ChatSettings): Chat {
  const chat = createChat({ base: server });
  chat.start().catch((failure: unknown) => console.error("The chat did not start:", failure));
  return chat;
}
