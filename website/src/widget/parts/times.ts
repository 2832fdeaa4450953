const MINUTE = 60_000;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** "now", "14:05", "Yesterday", "3 Feb", "3 Feb 2025": as much as tells it apart. */
export function shortTime(at: number, now = Date.now()): string {
  if (Math.abs(now - at) < MINUTE) return "now";
  if (isSameDay(at, now)) return clock.format(at);
  if (isSameDay(at, dayBefore(now))) return "Yesterday";
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? day.format(at) : dayOfYear.format(at);
}

/** A message's own time: with its day unless that is today. */
export function messageTime(at: number, now = Date.now()): string {
  return isSameDay(at, now) ? clock.format(at) : `${shortTime(at, now)}, ${clock.format(at)}`;
}

/** "in 12 s", "in 3 min", or "now". */
export function untilTime(at: number, now: number): string {
  const seconds = Math.ceil((at - now) / 1000);
  if (seconds <= 0) return "now";
  return seconds < 90 ? `in ${seconds} s` : `in ${Math.round(seconds / 60)} min`;
}

function isSameDay(one: number, other: number): boolean {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

function dayBefore(at: number): number {
  const date = new Date(at);
  date.setDate(date.getDate() - 1);
  return date.getTime();
}
