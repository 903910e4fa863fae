// What both clients send, and how they tell what they got: one JSON object on each line of standard output.
export const count = 300

/** Message number i: some without a key, some with an empty or no value. */
export function message(i) {
  return {
    key: i % 10 === 0 ? null : `key-${i % 13}`,
    value: i % 17 === 3 ? null : i % 19 === 5 ? '' : `value ${i} ${'x'.repeat(i)}`,
    headers: { number: `${i}`, empty: '' },
    timestamp: 1770000000000 + i
  }
}

export function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

export function text(bytes) {
  return bytes === null || bytes === undefined ? null : bytes.toString()
}

/** Resolves when the process is asked to end. */
export const ended = new Promise(resolve => {
  process.once('SIGTERM', resolve)
  process.once('SIGINT', resolve)
})
