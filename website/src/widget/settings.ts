/** What the site's owner set in `customFields.chat` of docusaurus.config.ts. */
export interface ChatSettings {
  /** Where the chat's server is; "" is the server of this page. */
  readonly server: string;
  /** The vendor's component in place of ours; null: ours. */
  readonly chatkit: ChatKitSettings | null;
}

export interface ChatKitSettings {
  /** The address of the vendor's script. It is loaded from there when the chat is opened. */
  readonly script: string;
  /** The key that the vendor gave for this site's domain. */
  readonly domainKey: string;
}

/** Reads the settings; what is not there is ours, on this page's own server. */
export function readSettings(chat: unknown): ChatSettings {
  const { server, ui, chatkit } = record(chat);
  return {
    server: typeof server === "string" ? server.replace(/\/$/, "") : "",
    chatkit: ui === "chatkit" ? readChatKit(record(chatkit)) : null,
  };
}

function readChatKit({ script, domainKey }: Record<string, unknown>): ChatKitSettings {
  if (typeof script === "string" && typeof domainKey === "string") return { script, domainKey };
  throw new Error('customFields.chat with ui: "chatkit" needs chatkit: { script, domainKey }');
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
