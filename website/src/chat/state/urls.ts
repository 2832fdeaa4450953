/** Addresses that came from outside are followed only when they cannot run anything. */

const WEB = /^https?:\/\//i;
const PICTURE = /^data:image\/(png|jpe?g|gif|webp|avif);/i;
const PATH = /^\/(?![/\\])/;

/** An http(s) address or a path of this site; null for all else. */
export function linkUrl(value: unknown): string | null {
  return typeof value === "string" && (WEB.test(value) || PATH.test(value)) ? value : null;
}

/** Likewise for pictures, which may hold their bytes themselves. */
export function pictureUrl(value: unknown): string | null {
  return typeof value === "string" && PICTURE.test(value) ? value : linkUrl(value);
}
