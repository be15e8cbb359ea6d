// A drawn card: what a video without a file looks like. Its colours come from its tags, its wave from its id.

import { element, hash } from "/page/dom.js";

const BARS = 44;

/** Small repeatable randomness: the same video looks the same on every visit. */
function chance(seed) {
  let state = seed || 1;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 2246822519) ^ Math.imul(state ^ (state >>> 13), 3266489917);
    return ((state >>> 0) % 100_000) / 100_000;
  };
}

/** Paints the background of a card; also what stands behind a video until its first frame. */
export function paint(canvas, video) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const next = chance(hash(video.video_id));
  const hues = (video.tags.length ? video.tags : [video.author_id]).map((tag) => hash(tag) % 360);
  const base = hues[0];
  const ground = pen.createLinearGradient(0, 0, width * 0.4, height);
  ground.addColorStop(0, `hsl(${base} 62% 30%)`);
  ground.addColorStop(0.55, `hsl(${(base + 35) % 360} 58% 17%)`);
  ground.addColorStop(1, `hsl(${(base + 70) % 360} 60% 9%)`);
  pen.fillStyle = ground;
  pen.fillRect(0, 0, width, height);
  pen.globalCompositeOperation = "screen";
  for (let place = 0; place < 5; place++) {
    const hue = hues[place % hues.length] + (place >= hues.length ? 40 * place : 0);
    const [x, y, radius] = [next() * width, next() * height * 0.8, width * (0.35 + next() * 0.5)];
    const glow = pen.createRadialGradient(x, y, 0, x, y, radius);
    glow.addColorStop(0, `hsl(${hue % 360} 85% 52% / .5)`);
    glow.addColorStop(1, `hsl(${hue % 360} 85% 52% / 0)`);
    pen.fillStyle = glow;
    pen.fillRect(0, 0, width, height);
  }
  pen.lineWidth = Math.max(1, width / 260);
  const [x, y] = [width * (0.2 + next() * 0.6), height * (0.15 + next() * 0.4)];
  for (let ring = 1; ring < 12; ring++) {
    pen.strokeStyle = `hsl(${base} 90% 80% / ${0.09 - ring * 0.006})`;
    pen.beginPath();
    pen.arc(x, y, ring * width * 0.11, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.globalCompositeOperation = "source-over";
}

/** The middle of a card: its first tag in large letters and its length as a wave that plays through. */
export function cardFace(video) {
  const next = chance(hash(`wave ${video.video_id}`));
  const heights = Array.from({ length: BARS }, (_, bar) => 0.18 + 0.82 * next() * Math.sin(Math.PI * (bar + 1.5) / (BARS + 2)));
  const wave = element("canvas", { class: "wave", width: 640, height: 150, "aria-hidden": "true" });
  const title = video.tags[0] ?? video.author_id;
  const face = element("div", { class: "card-face", "aria-hidden": "true" }, element("p", { class: "card-title", text: title }), wave);
  const pen = wave.getContext("2d");

  return {
    element: face,
    draw(share) {
      const step = wave.width / BARS;
      pen.clearRect(0, 0, wave.width, wave.height);
      for (let bar = 0; bar < BARS; bar++) {
        const tall = heights[bar] * wave.height;
        const filled = Math.min(1, Math.max(0, share * BARS - bar));
        pen.fillStyle = `rgb(255 255 255 / ${0.32 + 0.66 * filled})`;
        pen.beginPath();
        pen.roundRect(bar * step + step * 0.2, (wave.height - tall) / 2, step * 0.58, tall, step * 0.29);
        pen.fill();
      }
    },
  };
}
