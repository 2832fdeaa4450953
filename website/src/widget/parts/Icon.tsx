import type { ReactNode } from "react";

const PATHS = {
  close: "M6 6l12 12M18 6L6 18",
  list: "M4 7h16M4 12h16M4 17h10",
  back: "M15 5l-7 7 7 7",
  newChat: "M12 5H7a2 2 0 0 0-2 2v10a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-5M18.5 3.5l2 2L13 13l-3 1 1-3z",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7zM9 9h6v6H9zM11 11h2v2h-2z",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  up: "M7 20V10l4.5-6.5c1.4 0 2.2 1.2 1.9 2.5L12.7 9H18a2 2 0 0 1 2 2.3l-1.1 7a2 2 0 0 1-2 1.7zM7 20H4V10h3",
  down: "M17 4v10l-4.5 6.5c-1.4 0-2.2-1.2-1.9-2.5l.7-3H6a2 2 0 0 1-2-2.3l1.1-7a2 2 0 0 1 2-1.7zM17 4h3v10h-3",
  again: "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  pencil: "M5 19l1-4L16 5l3 3L9 18z",
  end: "M12 5v14M6 13l6 6 6-6",
  clock: "M12 7v5l3.5 2M20 12a8 8 0 1 1-16 0 8 8 0 0 1 16 0z",
  alert: "M12 8v5M12 16.3v.2M12 3.5l9 16H3z",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c1-3.5 4-5 7.5-5s6.5 1.5 7.5 5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { readonly name: IconName; readonly size?: number }): ReactNode {
  return (
    <svg
      viewBox="0 0 24 24"
      width={size}
      height={size}
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.75"
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
