// The camera of a computer or a phone: what it sees, as pictures of 128 × 128 pixels.

import { button, make } from "./common.js";
import { squareOf } from "./photographs_read.js";

const ELSE = "Add pictures as files instead.";
const NONE =
  "This browser gives the camera only to pages from a server: https://, or localhost (in the folder of the site run " +
  `“python -m http.server”, then open http://localhost:8000). ${ELSE}`;
const REASONS = /** @type {Record<string, string>} */ ({
  NotAllowedError:
    "The camera was not allowed. Allow it where the browser asks, or by the sign beside the address, and try again. " +
    ELSE,
  NotFoundError: `No camera was found. ${ELSE}`,
  NotReadableError: `The camera is used by another program. Close that, and try again. ${ELSE}`,
});

export class Camera {
  /**
   * @param {string} words on the button that opens it
   * @param {Node[]} controls that stand below the picture while it is open
   */
  constructor(words, controls = []) {
    this.words = words;
    this.stream = /** @type {MediaStream | null} */ (null);
    this.opening = false;
    this.opener = button(words, () => this.stream ? this.close() : this.open());
    this.opener.setAttribute("aria-expanded", "false");
    this.video = make("video", { playsinline: true, muted: true, "aria-label": "What the camera sees" });
    this.video.muted = true;
    this.said = make("p", { "aria-live": "polite" });
    this.view = make("div", { hidden: true }, this.video, make("div", { class: "tlx-actions" }, ...controls));
    this.panel = make("div", { class: "tlx-photos-camera" }, this.view, this.said);
    this.nodes = [this.opener, this.panel];
  }

  get on() {
    return this.stream !== null;
  }

  async open() {
    if (this.opening) return;
    this.said.textContent = "";
    if (!navigator.mediaDevices?.getUserMedia) return this.say(NONE);
    this.opening = true;
    try {
      const video = { facingMode: "environment", width: { ideal: 640 }, height: { ideal: 480 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video });
      if (!this.panel.isConnected) return stream.getTracks().forEach((track) => track.stop());
      this.stream = stream;
      stream.getVideoTracks()[0].onended = () => this.close("The camera stopped.");
      this.video.srcObject = stream;
      this.show(true);
      await this.video.play();
    } catch (error) {
      this.close();
      const { name, message } = /** @type {DOMException} */ (error);
      this.say(REASONS[name] ?? `The camera did not start: ${message || name}. ${ELSE}`);
    } finally {
      this.opening = false;
    }
  }

  /** @param {boolean} on */
  show(on) {
    this.view.hidden = !on;
    this.opener.textContent = on ? "Close the camera" : this.words;
    this.opener.setAttribute("aria-expanded", String(on));
  }

  /** @param {string} words */
  say(words) {
    this.said.textContent = words;
  }

  // What it sees now, or nothing while it starts.
  frame() {
    const { videoWidth: wide, videoHeight: high } = this.video;
    return this.stream && wide && high ? squareOf(this.video, wide, high) : null;
  }

  close(words = "") {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.show(false);
    this.say(words);
  }
}
