import { createParser } from "eventsource-parser";

export interface ServerEvent {
  readonly event?: string | undefined;
  readonly id?: string | undefined;
  readonly data: string;
}

/** The comment with which a stream of this server says that it is whole. */
const END = "end";

export interface Reading {
  readonly onEvent: (event: ServerEvent) => void;
  /** Called for each chunk, comments included: the other side is alive. */
  readonly onLife?: () => void;
  /** Ends the reading as if the stream had been cut there. */
  readonly silence?: AbortSignal;
}

/**
 * Reads server-sent events to the end of a body. Returns whether the stream was whole; one that was not
 * may have been cut anywhere. Rejects as the body does.
 */
export async function readEvents(body: ReadableStream<Uint8Array>, reading: Reading): Promise<boolean> {
  let whole = false;
  const parser = createParser({
    onEvent: reading.onEvent,
    onComment: (comment) => {
      whole ||= comment === END;
    },
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  const leave = () => void reader.cancel().catch(() => {});
  reading.silence?.addEventListener("abort", leave);
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return whole;
      reading.onLife?.();
      parser.feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    reading.silence?.removeEventListener("abort", leave);
    leave();
  }
}
