// A port that is no Python: an ONNX file on onnxruntime-node, in a process of its own.
//
//   npm install onnxruntime-node
//   dinov3-parity check --command "node port.mjs model.onnx"
//
// The file takes images (B, 3, H, W), normalized, and returns the tokens after the final norm (B, N, D), with
// registers or without, as the files of dinov3-parity export do. Nothing inside is shown. docs/ports.md has
// the protocol.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(join(process.cwd(), "port.mjs")); // where it was installed: the working folder
const ort = require("onnxruntime-node");
console.log = console.error; // standard output is the protocol's

const file = process.argv[2];
const session = await ort.InferenceSession.create(file);
const input = session.inputMetadata[0];
const [fixedBatch, , height, width] = input.shape.map((side) => (side > 0 ? side : null)); // null: any
const tokensOut = session.outputMetadata[0].shape[1];
const bare = height && tokensOut > 0 && tokensOut === (height * width) / 256 + 1; // without registers
const hidden = "the file does not return registers";
const answer = (told) => process.stdout.write(JSON.stringify(told) + "\n");

// Float32 numbers of a .npy of version 1.0, little-endian, in C's order.
function read(path) {
  const bytes = readFileSync(path);
  const begins = 10 + bytes.readUInt16LE(8);
  const shape = /'shape': \(([^)]*)\)/.exec(bytes.toString("latin1", 10, begins))[1];
  const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset + begins, bytes.byteOffset + bytes.length));
  return { data, shape: shape.split(",").filter((word) => word.trim()).map(Number) };
}

function write(path, data, shape) {
  const words = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const header = words.padEnd(Math.ceil((words.length + 11) / 64) * 64 - 11) + "\n";
  const size = Buffer.alloc(2);
  size.writeUInt16LE(header.length);
  const numbers = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  writeFileSync(path, Buffer.concat([Buffer.from("\x93NUMPY\x01\x00", "latin1"), size, Buffer.from(header), numbers]));
}

let folder, variant;
const verbs = {
  describe: () => ({
    protocol: 1,
    name: "ort-node",
    runtime: `onnxruntime-node ${require("onnxruntime-node/package.json").version}`,
    features_only: "an exported file, run as it is",
    ...(height && width ? { sizes: [[height, width]] } : {}),
    ...(fixedBatch ? { batches: [fixedBatch] } : {}),
    ...(bare ? { absent: { norm: hidden, registers: hidden } } : {}),
  }),
  start: (asked) => {
    ({ folder, variant } = asked); // the weights are in the file
    return {};
  },
  features: async (asked) => {
    const images = read(join(folder, asked.images));
    const given = { [input.name]: new ort.Tensor("float32", images.data, images.shape) };
    const { data, dims } = (await session.run(given))[session.outputNames[0]];
    const [batch, tokens, dim] = dims;
    const prefix = bare ? 1 : variant.prefix;
    const cut = (from, to) => {
      const numbers = new Float32Array(batch * (to - from) * dim);
      for (let b = 0; b < batch; b++) {
        const part = data.subarray((b * tokens + from) * dim, (b * tokens + to) * dim);
        numbers.set(part, b * (to - from) * dim);
      }
      return numbers;
    };
    const patches = cut(prefix, tokens);
    const count = tokens - prefix;
    const pooled = new Float32Array(batch * dim).map((_, i) => {
      let sum = 0; // in float64: the figure is the patches' own
      for (let p = 0; p < count; p++) sum += patches[(Math.floor(i / dim) * count + p) * dim + (i % dim)];
      return sum / count;
    });
    const taps = {
      cls: [cut(0, 1), [batch, dim]],
      patches: [patches, [batch, count, dim]],
      pooled: [pooled, [batch, dim]],
    };
    if (!bare) taps.norm = [data, [batch, tokens, dim]];
    if (!bare) taps.registers = [cut(1, prefix), [batch, prefix - 1, dim]];
    const name = (tap) => `${asked.id}.${tap}.npy`;
    for (const [tap, [numbers, shape]] of Object.entries(taps)) write(join(folder, name(tap)), numbers, shape);
    return { taps: Object.fromEntries(Object.keys(taps).map((tap) => [tap, name(tap)])) };
  },
  stop: () => ({}),
};

for await (const line of createInterface({ input: process.stdin })) { // it ends with who asks
  const asked = JSON.parse(line);
  try {
    if (!(asked.verb in verbs)) throw new Error(`no such verb: ${asked.verb}`);
    answer({ id: asked.id, ...(await verbs[asked.verb](asked)) });
  } catch (error) {
    console.error(error);
    answer({ id: asked.id, error: String(error) });
  }
  if (asked.verb === "stop") break;
}
