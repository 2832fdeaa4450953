import { Component, type ReactNode, type RefObject } from "react";

interface KeepPlaceProps {
  readonly viewport: RefObject<HTMLElement | null>;
  readonly firstKey: string | null;
  readonly children: ReactNode;
}

/**
 * Keeps what is read where it is when older messages arrive above it. Browsers do that by themselves, but not Safari, and
 * none does it at the very top. A class, because only classes are asked just before the page changes.
 */
export class KeepPlace extends Component<KeepPlaceProps> {
  override getSnapshotBeforeUpdate(before: KeepPlaceProps): number | null {
    const viewport = this.props.viewport.current;
    const changed = before.firstKey !== null && before.firstKey !== this.props.firstKey;
    return changed && viewport ? viewport.scrollHeight - viewport.scrollTop : null;
  }

  override componentDidUpdate(_props: KeepPlaceProps, _state: unknown, fromEnd: number | null): void {
    const viewport = this.props.viewport.current;
    if (fromEnd !== null && viewport) viewport.scrollTop = viewport.scrollHeight - fromEnd;
  }

  override render(): ReactNode {
    return this.props.children;
  }
}
