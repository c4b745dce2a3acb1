// Which detections of two lists are the same.

const SAME_FROM = 0.5;

/** Ids of each list without a partner of the same class in the other: [Set, Set]. */
export function alone(first, second) {
  const pairs = [];
  for (const a of first) {
    for (const b of second) {
      const overlap = a.category === b.category ? iou(a, b) : 0;
      if (overlap >= SAME_FROM) pairs.push({ a: a.id, b: b.id, overlap });
    }
  }
  const [left, right] = [new Set(first.map(({ id }) => id)), new Set(second.map(({ id }) => id))];
  for (const { a, b } of pairs.sort((one, other) => other.overlap - one.overlap)) {
    if (left.has(a) && right.has(b)) { left.delete(a); right.delete(b); }
  }
  return [left, right];
}

function iou(a, b) {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  const both = Math.max(w, 0) * Math.max(h, 0);
  return both / (a.w * a.h + b.w * b.h - both || 1);
}
