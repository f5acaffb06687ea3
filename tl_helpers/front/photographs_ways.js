// The ways in which pictures come to the page besides the camera: files, folders, archives, drops, pastes, examples.

import { button } from "./common.js";
import { picker } from "./pad.js";
import { fromArchive, fromPicker, fromTransfer, isArchive, lotsOf } from "./photographs_files.js";
import { readPicture } from "./photographs_read.js";

/** @import { Album } from "./photographs_album.js" */
/** @import { Examples } from "./photographs.js" */
/** @import { Found, Lot } from "./photographs_files.js" */
/** @import { Order, Queue } from "./photographs_queue.js" */

export class Ways {
  /**
   * @param {Album} album
   * @param {Examples} examples
   * @param {Queue} queue
   * @param {(words: string, status?: string) => void} say
   */
  constructor(album, examples, queue, say) {
    this.album = album;
    this.examples = examples;
    this.queue = queue;
    this.say = say;
    const add = (/** @type {File[]} */ files) => this.add(fromPicker(files), null);
    const folder = picker("Folder …", { webkitdirectory: true }, add);
    const archive = picker("Import zip …", { accept: ".zip" }, add);
    const examplesButton = button("Use the examples", () => this.useExamples());
    this.nodes = [examplesButton, folder.opener, folder.input, archive.opener, archive.input];
  }

  /**
   * Add what was dropped or pasted.
   * @param {DataTransfer | null} transfer
   * @param {number | null} id of the class, where one was meant
   */
  async addTransfer(transfer, id) {
    try {
      await this.add(await fromTransfer(transfer), id);
    } catch (error) {
      const words = location.protocol === "file:"
        ? "This browser lets no page that was opened as a file read a dropped folder. Press “Folder …” instead, or " +
          "drop the files in it."
        : `What you dropped cannot be read: ${/** @type {Error} */ (error).message}.`;
      this.say(words, "error");
    }
  }

  /**
   * Add files; those in several folders, to the classes of these.
   * @param {Found[]} found
   * @param {number | null} id of the class, where one was meant
   */
  async add(found, id) {
    const all = /** @type {Found[]} */ ([]);
    for (const each of found) {
      try {
        all.push(...(isArchive(each) ? await fromArchive(await each.read()) : [each]));
      } catch (error) {
        const cut = error instanceof RangeError || !(error instanceof Error);
        const words = cut ? "it is cut short or damaged" : error.message;
        return this.say(`${each.name} was not imported: ${words}. Your pictures are as they were.`, "error");
      }
    }
    if (!all.length) return this.say("There is no file in it.", "error");
    await this.queue.add(this.planned(lotsOf(all), id));
  }

  /**
   * Say where files go: to the class that was meant, unless they lie in several folders.
   * @param {Lot[]} lots
   * @param {number | null} id
   * @returns {Order[]}
   */
  planned(lots, id) {
    const several = lots.filter(({ name }) => name !== null).length > 1;
    return lots.map((lot) => ({ ...lot, id: several && lot.name !== null ? null : id }));
  }

  async useExamples() {
    const { names, type, told, pictures } = this.examples;
    const taken = await Promise.all(pictures.map(async ({ label, name, data }) => {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      return { label, name, pixels: await readPicture(new File([bytes], name, { type })) };
    }));
    this.album.begin(names, taken);
    this.say(`${told} are here. Undo brings back what was here before.`);
  }
}
