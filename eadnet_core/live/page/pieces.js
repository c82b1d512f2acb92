// An audio worklet: what a microphone gives, in pieces of 40 ms.

class Pieces extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Float32Array(640);
    this.filled = 0;
  }

  process([input]) {
    const channel = input[0];
    for (let i = 0; channel && i < channel.length; i += 1) {
      this.piece[this.filled] = channel[i];
      this.filled += 1;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("pieces", Pieces);
