/** What the panel shows below its header. */
export type View = "conversation" | "threads" | "sign-in";
