const FIRST_MS = 1_000;
const LEAST_MS = 250;

/** How long to wait after `failures` earlier ones: full jitter, so that those who were cut off together come back apart. */
export function delayOf(failures: number, longestMs: number, random: number): number {
  const ceiling = Math.min(longestMs, FIRST_MS * 2 ** Math.min(failures, 20));
  return Math.max(LEAST_MS, random * ceiling);
}
