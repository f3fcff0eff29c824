// Browsers start no worker from a page that was opened as a file. The search runs in a hidden frame there.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.open();
      inside.document.write("<!doctype html><script>" +
        "var postMessage = (data) => parent.dispatchEvent(new MessageEvent('frame-worker', {data}));" +
        "var importScripts = (...urls) => urls.reduce((before, url) => before.then(() =>" +
        "  new Promise((done) => { var script = document.createElement('script'); script.src = url;" +
        "    script.onload = done; document.body.appendChild(script); })), Promise.resolve());" +
        "</script><body></body>");
      inside.document.close();
      window.addEventListener("frame-worker", (event) => {
        const message = new MessageEvent("message", {data: event.data});
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      });
      this.ready = new Promise((done) => {
        const script = inside.document.createElement("script");
        script.src = String(url);
        script.onload = done;
        inside.document.body.appendChild(script);
      });
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data})));
    }
    terminate() { this.frame.remove(); }
  };
}
