/** Who talks, as the rest of the chat needs it. */
export type Who =
  | { readonly kind: "visitor"; readonly owner: string }
  | {
      readonly kind: "account";
      readonly owner: string;
      readonly id: string;
      readonly name: string;
      readonly way: SignedInBy;
    };

export type SignedInBy = { readonly by: "password" } | { readonly by: "demo"; readonly user: string };

/** Under whose name messages wait. An account's is the subject of its tokens. */
export function accountOwner(id: string): string {
  return `account:${id}`;
}

export function visitorOwner(name: string): string {
  return `visitor:${name}`;
}
