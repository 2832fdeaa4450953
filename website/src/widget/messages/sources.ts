import type { AssistantPart, Source } from "../../chat/contract";

export interface NumberedSource extends Source {
  readonly number: number;
}

export interface NumberedPart {
  readonly text: string;
  readonly sources: readonly NumberedSource[];
}

/** Numbers the sources through all parts of an answer; the same source has the same number wherever it is named. */
export function numberSources(parts: readonly AssistantPart[]): readonly NumberedPart[] {
  const numbers = new Map<string, number>();
  return parts.map(({ text, sources }) => ({
    text,
    sources: sources.map((source) => {
      const id = source.url ?? source.title;
      const number = numbers.get(id) ?? numbers.size + 1;
      numbers.set(id, number);
      return { ...source, number };
    }),
  }));
}

/** Each source once, for the list under a part. */
export function distinctSources(sources: readonly NumberedSource[]): readonly NumberedSource[] {
  return [...new Map(sources.map((source) => [source.number, source])).values()];
}
