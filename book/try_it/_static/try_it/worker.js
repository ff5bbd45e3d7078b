// Runs the networks beside the page, so that the page can go on listening while a picture is computed.
let runtime = null;
const sessions = new Map();

const tasks = {
  async start({script, program, threads}) {
    runtime = await import(script);
    runtime.env.logLevel = "error";
    runtime.env.wasm.wasmBinary = program;
    runtime.env.wasm.numThreads = threads;
  },

  async open({name, bytes}) {
    if (!sessions.has(name)) {
      sessions.set(name, await runtime.InferenceSession.create(bytes, {executionProviders: ["wasm"]}));
    }
  },

  async run({name, data, width, height}) {
    const image = new runtime.Tensor("float32", data, [1, 3, height, width]);
    const began = performance.now();
    const {painted} = await sessions.get(name).run({image});
    return {data: painted.data, ms: performance.now() - began};
  },
};

self.addEventListener("message", async ({data: {id, task, ...rest}}) => {
  try {
    const answer = await tasks[task](rest);
    self.postMessage({id, answer}, answer?.data ? [answer.data.buffer] : []);
  } catch (error) {
    self.postMessage({id, error: String(error?.message ?? error)});
  }
});
