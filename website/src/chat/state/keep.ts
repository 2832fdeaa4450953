/** The old object when the new one has the same fields. */
export function keep<T extends object>(old: T | null | undefined, next: T): T {
  if (old === null || old === undefined) return next;
  const names = Object.keys(next) as (keyof T)[];
  if (names.length !== Object.keys(old).length) return next;
  return names.every((name) => Object.is(old[name], next[name])) ? old : next;
}

/** The old list when the new one holds the same. */
export function keepList<T>(old: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  return old?.length === next.length && next.every((value, at) => value === old[at]) ? old : next;
}
