// Runs the networks beside the page, so that the page can go on listening while a picture is computed.
let runtime = null;
let provider = "wasm";
const sessions = new Map();

const tasks = {
  async start({kind, script, program, threads}) {
    runtime = await import(script);
    provider = kind;
    runtime.env.logLevel = "error";
    runtime.env.wasm.wasmBinary = program;
    runtime.env.wasm.numThreads = threads;
  },

  async open({name, bytes}) {
    if (!sessions.has(name)) {
      const options = {executionProviders: [provider], logSeverityLevel: 3};  // errors, no warnings
      sessions.set(name, await runtime.InferenceSession.create(bytes, options));
    }
  },

  async run({name, data, width, height}) {
    const session = sessions.get(name);
    const given = new runtime.Tensor("float32", data, [1, data.length / (width * height), height, width]);
    const began = performance.now();
    const {[session.outputNames[0]]: found} = await session.run({[session.inputNames[0]]: given});
    const [, , rows, columns] = found.dims;
    return {data: found.data, width: columns, height: rows, ms: performance.now() - began};
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
