// A course without axes: how a figure went lately.
//
// in   values, oldest first; null where there was none
// out  a line from 0 to the largest
const WIDTH = 100;
const HEIGHT = 30;

export function Spark({ values, label }: { values: readonly (number | null)[]; label: string }) {
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path d={pathOf(values)} />
    </svg>
  );
}

export function pathOf(values: readonly (number | null)[]): string {
  const top = Math.max(1e-9, ...values.map((value) => value ?? 0));
  let isDrawn = false;
  return values
    .map((value, i) => {
      if (value === null) {
        isDrawn = false;
        return "";
      }
      const x = (i / Math.max(1, values.length - 1)) * WIDTH;
      const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
      const command = isDrawn ? "L" : "M";
      isDrawn = true;
      return `${command}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** A share of a whole as a bar. */
export function Meter({ share }: { share: number }) {
  return (
    <svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect width="100" height="10" />
      <rect width={Math.max(0, Math.min(100, share * 100)).toFixed(2)} height="10" />
    </svg>
  );
}
