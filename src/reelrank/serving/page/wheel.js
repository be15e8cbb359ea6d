// The wheel: one video for one turn. Scroll snap alone springs back after a single notch of a mouse.

const ENOUGH = 24; // pixels: less is a trembling finger
const PAUSE_MS = 140; // a silence this long ends a gesture; a touchpad glides on until then
const AGAIN_MS = 650; // a mouse wheel that keeps turning goes on at this pace
const NOTCH = 80; // pixels: gliding touchpads send less at their end
const LINE = 20;

export function listenToWheel(feed) {
  let turned = 0;
  let last = -Infinity;
  let stepped = -Infinity; // when the feed was moved last
  let answered = false; // whether this gesture has moved it
  feed.scroller.addEventListener("wheel", (event) => {
    if (event.ctrlKey) return; // that is zooming
    event.preventDefault();
    const turn = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE);
    const time = event.timeStamp;
    const begins = time - last > PAUSE_MS;
    const moves = time - stepped < AGAIN_MS; // the feed is still on its way
    const notch = Math.abs(turn) >= NOTCH;
    last = time;
    if (begins) {
      turned = 0;
      answered = false;
    }
    if (notch ? moves && !begins : moves || answered) return;
    turned += turn;
    if (Math.abs(turned) < ENOUGH) return;
    stepped = time;
    answered = true;
    feed.go(Math.sign(turned));
    turned = 0;
  }, { passive: false });
}
