import { Failure } from "../protocol/failure";
import type { Http } from "../protocol/http";
import { fieldsOf, listOf, textOf } from "../protocol/wire";

/** What the server does for everybody alike. */
export interface Policy {
  readonly anonymous: "memory" | "persist" | "deny";
  readonly demoUsers: readonly string[];
  /** Minutes east of Greenwich: the zone of times that name none. */
  readonly zoneMinutes: number;
  /** By how much the server's clock is ahead of this one, in milliseconds. */
  readonly aheadMs: number;
}

/** Until the server was asked. */
export const UNKNOWN_POLICY: Policy = { anonymous: "memory", demoUsers: [], zoneMinutes: 0, aheadMs: 0 };

export async function readPolicy(http: Http, now: () => number): Promise<Policy> {
  const asked = now();
  const response = await http.send("/chat/policy");
  const fields = fieldsOf(await response.json().catch(() => null));
  const { anonymous } = fields;
  if (anonymous !== "memory" && anonymous !== "persist" && anonymous !== "deny") {
    throw new Failure("The server's answer cannot be understood. Please reload this page.", "unavailable");
  }
  const clock = textOf(fields.now);
  const middle = (asked + now()) / 2;
  return {
    anonymous,
    demoUsers: listOf(fields.demo_users).map(textOf).filter(Boolean),
    zoneMinutes: zoneOf(clock),
    aheadMs: (Date.parse(clock) || middle) - middle,
  };
}

function zoneOf(time: string): number {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(time) ?? [];
  const east = Number(hours ?? 0) * 60 + Number(minutes ?? 0);
  return sign === "-" ? -east : east;
}

const NAMES_ZONE = /(Z|[+-]\d\d:?\d\d)$/i;

/** Milliseconds since 1970 of a time as the server writes it, perhaps without its zone. */
export function timeOf(text: unknown, policy: Policy, otherwise: number): number {
  if (typeof text !== "string") return otherwise;
  const time = NAMES_ZONE.test(text)
    ? Date.parse(text)
    : Date.parse(`${text}Z`) - policy.zoneMinutes * 60_000;
  return Number.isNaN(time) ? otherwise : time;
}
