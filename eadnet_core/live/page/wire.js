// What comes over the WebSocket in binary: see wire.py.

/** {start, every, sizes, n_samples, ...}, its pictures as JPEG blobs, and its samples as floats in -1 .. 1. */
export function parseChunk(buffer) {
  const headerLength = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headerLength)));
  let at = 4 + headerLength;
  const pictures = header.sizes.map((size) => {
    const blob = new Blob([new Uint8Array(buffer, at, size)], { type: "image/jpeg" });
    at += size;
    return blob;
  });
  const view = new DataView(buffer, at);
  const sound = Float32Array.from({ length: header.n_samples }, (_, i) => view.getInt16(2 * i, true) / 32768);
  return { header, pictures, sound };
}

/** Samples in -1 .. 1 as 16-bit little-endian PCM. */
export function toPcm(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((x, i) => view.setInt16(2 * i, Math.max(-1, Math.min(1, x)) * 32767, true));
  return view.buffer;
}
