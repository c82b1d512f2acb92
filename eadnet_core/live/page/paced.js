// What is said too often is said less often: the server cuts off a page that floods it.

/** A function that calls `send` with its value at most once in `ms`; of the values between two calls the last counts. */
export function paced(ms, send) {
  let waiting = null;
  let timer = null;
  const next = () => {
    timer = null;
    if (!waiting) return;
    const [value] = waiting;
    waiting = null;
    timer = setTimeout(next, ms);
    send(value);
  };
  return (value) => {
    waiting = [value];
    if (timer === null) next();
  };
}
