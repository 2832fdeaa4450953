import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readEvents } from "../../src/chat/protocol/sse";
import { bytes } from "./support/server";

const event = fc.record({ id: fc.stringMatching(/^[a-z0-9:]{1,12}$/), data: fc.jsonValue() });

function chunked(whole: Uint8Array, cuts: readonly number[]): ReadableStream<Uint8Array> {
  const at = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].sort((a, b) => a - b);
  return new ReadableStream({
    start(controller) {
      let from = 0;
      for (const to of [...at, whole.length]) {
        if (to > from) controller.enqueue(whole.slice(from, to));
        from = to;
      }
      controller.close();
    },
  });
}

describe("a stream of events", () => {
  it("is the same however it is cut into chunks, inside of characters as well", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event), fc.array(fc.nat()), fc.boolean(), async (events, cuts, ends) => {
        const text = events.map(({ id, data }) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`).join("");
        const seen: unknown[] = [];
        const whole = await readEvents(chunked(bytes(text + (ends ? ": end\n\n" : ":\n\n")), cuts), {
          onEvent: ({ id, data }) => seen.push({ id, data: JSON.parse(data) }),
        });
        expect(seen).toEqual(events.map(({ id, data }) => ({ id, data: JSON.parse(JSON.stringify(data)) })));
        expect(whole).toBe(ends);
      }),
    );
  });

  it("is not whole when it was cut anywhere before its last line", async () => {
    const text = 'id: 1\ndata: {"type":"x"}\n\n: end\n\n';
    for (let length = 0; length < text.indexOf("end\n") + 4; length++) {
      const whole = await readEvents(chunked(bytes(text.slice(0, length)), []), { onEvent: () => {} });
      expect(whole, text.slice(0, length)).toBe(false);
    }
  });

  it("ends when it is silent for too long", async () => {
    const silence = new AbortController();
    const never = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes("data: 1\n\n")),
    });
    const seen: string[] = [];
    const reading = readEvents(never, {
      onEvent: ({ data }) => {
        seen.push(data);
        silence.abort();
      },
      silence: silence.signal,
    });
    expect(await reading).toBe(false);
    expect(seen).toEqual(["1"]);
  });
});
