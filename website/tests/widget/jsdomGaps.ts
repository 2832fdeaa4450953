/** What the widget needs of a browser and jsdom does not have. None of it is what a test is about; a real browser has the rest. */

class Observer {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

export function fillGaps(): void {
  Object.assign(globalThis, { ResizeObserver: Observer, IntersectionObserver: Observer });
  Object.assign(window, {
    matchMedia: () => ({ matches: false, addEventListener: () => {}, removeEventListener: () => {} }),
  });
  Element.prototype.scrollTo = () => {};
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
    this.querySelector("button")?.focus();
  };
  HTMLDialogElement.prototype.close = function () {
    this.open = false;
  };
}
