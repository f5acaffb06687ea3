// What the networks say of one picture: a card for each, with bars and numbers.

import { key } from "./charts.js";
import { make } from "./common.js";
import { whole } from "./numbers.js";
import { thumb } from "./photographs_read.js";

/** @import { Looks } from "./charts.js" */
/** @import { Album, Picture } from "./photographs_album.js" */

/** @type {(shares: number[]) => number} */
export const topOf = (shares) => shares.indexOf(Math.max(...shares));

/**
 * @param {string[]} arms
 * @param {Looks} looks
 * @param {string[]} names of the classes
 * @param {(number[] | null)[]} shares by network; null where it has not answered
 */
export function shareCards(arms, looks, names, shares) {
  const cards = arms.map((name, arm) => {
    const title = make("span", { class: "tlx-title" }, key(looks[name]), name);
    const own = shares[arm];
    const rows = own?.length
      ? names.map((each, k) => {
        const bar = make("meter", { min: 0, max: 1, value: own[k], "aria-label": each });
        const label = make("span", { title: each }, `${k === topOf(own) ? "▸ " : ""}${each}`);
        return make("div", { class: "tlx-chance" }, label, bar, make("span", {}, whole(own[k])));
      })
      : [make("span", {}, "no answer yet")];
    return make("div", { class: "tlx-arm", role: "group", "aria-label": name }, title, ...rows);
  });
  return make("div", { class: "tlx-arms" }, ...cards);
}

/**
 * The pictures that the worker names as nearest, as far as they are still there.
 * @param {Album} album
 * @param {{ id: number, similarity: number }[]} nearest
 */
export function nearestIn(album, nearest) {
  return nearest.flatMap(({ id, similarity }) => {
    const picture = album.find(id);
    return picture ? [{ picture, similarity }] : [];
  });
}

/**
 * Training pictures that are most like one, with their classes.
 * @param {{ picture: Picture, similarity: number }[]} nearest
 * @param {string[]} names
 * @param {(id: number) => void} [open]
 */
export function nearestList(nearest, names, open) {
  const items = nearest.map(({ picture: { id, pixels, label, name }, similarity }) => {
    const words = `${name}, ${names[label]}, similarity ${similarity.toFixed(2)}`;
    const told = { title: words, "aria-label": open ? `${words}. Look at it` : words };
    const shown = open
      ? make(
        "button",
        { type: "button", class: "tlx-thumb", ...told, onclick: () => open(id) },
        thumb(pixels),
      )
      : make("span", { role: "img", ...told }, thumb(pixels));
    return make("li", {}, shown, make("span", {}, names[label]), make("span", {}, similarity.toFixed(2)));
  });
  return make("ul", { class: "tlx-photos-worst" }, ...items);
}
