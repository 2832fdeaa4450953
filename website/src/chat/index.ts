export { type ChatOptions, createChat } from "./chat";
export type * from "./contract";
