// The light around the stage on wide screens: the running picture, tiny and blurred.

import { calm, wide } from "/page/dom.js";

const EVERY_MS = 400;

export function lightUp(canvas, slideOnScreen) {
  const pen = canvas.getContext("2d");
  let drawn = null;
  const draw = () => {
    const slide = slideOnScreen();
    if (!slide || !wide.matches || document.hidden) return;
    if (calm.matches && drawn === slide) return; // one still light for each video
    const media = slide.player.element;
    const moving = media?.readyState >= 2;
    pen.globalAlpha = drawn === null || calm.matches ? 1 : 0.35; // each picture lets the one before shine through
    pen.drawImage(moving ? media : slide.poster, 0, 0, canvas.width, canvas.height);
    if (moving || !media) drawn = slide;
  };
  setInterval(draw, EVERY_MS);
  return draw;
}
