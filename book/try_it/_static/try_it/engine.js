// Fetches the program and the networks, once and on demand, and hands work to worker.js.

export class Stopped extends Error {}
export class EngineError extends Error {}

const MEMORY = /alloc|memory|out of bounds|RangeError|error code = 6\b/i;

async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;  // a server has unpacked it already
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The program in two builds: for the processor, which every browser can run, and with WebGPU, which is larger.
const BUILDS = {wasm: "runtime/ort", webgpu: "runtime/gpu"};

export class Engine {
  constructor(root, sizes, runtimeBytes, kind = "wasm") {
    this.root = root;  // folder of the page's files, with a slash at its end
    this.kind = kind;
    this.program = `${BUILDS[kind]}.wasm.bin`;
    this.sizes = {...sizes, [this.program]: runtimeBytes};  // bytes by name: what a progress bar is measured against
    this.kept = new Map();  // bytes that have arrived stay for the next worker
    this.worker = null;
    this.opened = new Set();
    this.waiting = new Map();
    this.next = 0;
    this.abort = null;
    this.turn = Promise.resolve();  // two panels that want something at once wait for each other
  }

  // The same networks in another build of the program; what has arrived is not fetched again.
  sibling(kind, runtimeBytes) {
    const other = new Engine(this.root, this.sizes, runtimeBytes, kind);
    other.kept = this.kept;
    return other;
  }

  // Bytes that have to come over the network before these models can run.
  missing(...models) {
    return [this.program, ...models].reduce((sum, name) => sum + (this.kept.has(name) ? 0 : this.sizes[name]), 0);
  }

  // report({loaded, total}) is called as bytes arrive.
  ready(models, report = () => {}) {
    const mine = this.turn.then(() => this.prepare([models].flat(), report));
    this.turn = mine.catch(() => {});
    return mine;
  }

  async prepare(models, report) {
    const total = this.missing(...models);
    const names = [this.program, ...models].filter((name) => !this.kept.has(name));
    if (names.length > 0) {
      this.abort = new AbortController();
      let loaded = 0;
      try {
        for (const name of names) {
          this.kept.set(name, await this.fetch(name, (count) => report({loaded: loaded += count, total})));
        }
      } finally {
        this.abort = null;
      }
    }
    if (!this.worker) await this.startWorker();
    for (const name of models.filter((one) => !this.opened.has(one))) {
      const bytes = this.kept.get(name).slice();
      await this.ask("open", {name, bytes}, [bytes.buffer]);
      this.opened.add(name);
    }
  }

  async fetch(name, arrived) {
    const path = name === this.program ? name : `models/${name}.onnx`;
    let response;
    try {
      response = await fetch(this.root + path, {signal: this.abort.signal});
    } catch (error) {
      if (error.name === "AbortError") throw new Stopped();
      throw new EngineError("The files of this page could not be fetched: the connection failed. Try again.");
    }
    if (!response.ok) {
      const answer = `The server has no file ${path} (it answered ${response.status}).`;
      throw new EngineError(`${answer} Was the folder _static copied with the page?`);
    }
    const parts = [];
    try {
      for (const reader = response.body.getReader(); ;) {
        const {done, value} = await reader.read();
        if (done) break;
        parts.push(value);
        arrived(value.length);
      }
    } catch (error) {
      if (error.name === "AbortError") throw new Stopped();
      throw new EngineError("The connection broke off while the files were fetched. Try again.");
    }
    return unpacked(new Uint8Array(await new Blob(parts).arrayBuffer()));
  }

  async startWorker() {
    this.worker = new Worker(new URL("worker.js", import.meta.url), {type: "module"});
    this.worker.addEventListener("message", ({data: {id, answer, error}}) => {
      const {resolve, reject} = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) return resolve(answer);
      if (MEMORY.test(error)) {
        this.drop(new Stopped());  // its memory is as full as before; a new worker begins with none
        return reject(new EngineError("The browser has no memory left for this picture. Choose a smaller size."));
      }
      return reject(new EngineError(`The network could not be run: ${error}`));
    });
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      const why = event.message || "no module workers";
      this.drop(new EngineError(`This browser could not start the program (${why}). One from 2023 or later can.`));
    });
    const program = this.kept.get(this.program).slice();
    // Threads need a page that its server has isolated from others; without that there is one, and it is enough.
    const threads = self.crossOriginIsolated ? Math.min(4, Math.ceil((navigator.hardwareConcurrency || 1) / 2)) : 1;
    const script = new URL(`${BUILDS[this.kind]}.mjs`, this.root).href;
    await this.ask("start", {kind: this.kind, script, program, threads}, [program.buffer]);
  }

  ask(task, rest, transfer = []) {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      this.waiting.set(id, {resolve, reject});
      this.worker.postMessage({id, task, ...rest}, transfer);
    });
  }

  // {data, width, height} with data of C·H·W numbers → the same of what comes out, and the milliseconds it took.
  async run(model, {data, width, height}) {
    const copy = data.slice();
    return this.ask("run", {name: model, data: copy, width, height}, [copy.buffer]);
  }

  // A network in the middle of a picture cannot be asked to stop; its worker can be ended.
  stop() {
    this.abort?.abort();
    this.drop(new Stopped());
  }

  drop(reason) {
    this.worker?.terminate();
    this.worker = null;
    this.opened.clear();
    for (const {reject} of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }
}
