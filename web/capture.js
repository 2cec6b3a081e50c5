// Runs in the audio thread: resamples the microphone to 16 kHz and posts 20 ms of 16-bit samples at a time.
const RATE = 16000;
const FRAME = 320;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / RATE;
    this.at = 0;
    this.last = 0;
    this.low = 0;
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
  }

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    // A one-pole low-pass filter below 7 kHz weakens the frequencies that would fold back as aliases.
    const keep = Math.exp((-2 * Math.PI * 7000) / sampleRate);
    for (const sample of samples) {
      const previous = this.low;
      this.low = this.step > 1 ? sample * (1 - keep) + previous * keep : sample;
      this.at += 1;
      while (this.at >= this.step) {
        this.at -= this.step;
        const share = 1 - Math.min(this.at, 1);
        const value = previous + (this.low - previous) * share;
        this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
        if (this.filled === FRAME) {
          const full = this.frame;
          this.frame = new Int16Array(FRAME);
          this.filled = 0;
          this.port.postMessage(full.buffer, [full.buffer]);
        }
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
