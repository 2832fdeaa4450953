/** Loads the vendor's component from where the site's owner says. Resolves when the browser knows the element. */
export async function loadVendorScript(address: string): Promise<void> {
  if (customElements.get("openai-chatkit")) return;
  const script = document.createElement("script");
  script.src = address;
  script.async = true;
  await new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => {
      script.remove();
      reject(new Error(`${address} could not be loaded`));
    };
    document.head.append(script);
  });
  await customElements.whenDefined("openai-chatkit");
}
