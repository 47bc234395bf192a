// Work that outlives a server that is busy or gone: it waits, says so, and goes on by itself.
import { Gone, Refused } from './api.js';
import { clearNotice, notice } from './notice.js';
import { plural } from './dom.js';

const kFirstPause = 1, kLongestPause = 30;  // seconds
const kMostBreaks = 3;  // of a server that is there at once each time

export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

let returning = null;

// One watch for all who wait. -> how many tries it took
function untilItIsBack() {
  returning ??= (async () => {
    let tries = 0;
    for (let pause = kFirstPause; ; pause = Math.min(2 * pause, kLongestPause)) {
      ++tries;
      notice('gone', `The server does not answer. Photos and captions are kept here; ` +
                     `the next try is in ${plural(pause, 'second')}.`);
      await sleep(pause);
      const answer = await fetch('healthz', { cache: 'no-store' }).catch(() => null);
      if (answer?.ok) break;
    }
    clearNotice('gone');
    returning = null;
    return tries;
  })();
  return returning;
}

const unlessStopped = (work, signal) => Promise.race([work, new Promise((_, reject) => {
  signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
})]);

// work() until the server has answered it. Errors: Refused (but not 429, nor 503 with a time to wait), AbortError.
export async function patiently(work, signal) {
  for (let breaks = 0; ;) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (error instanceof Gone) {
        if (++breaks > kMostBreaks) throw error;
        if (await unlessStopped(untilItIsBack(), signal) > 1) breaks = 0;
      } else if (error instanceof Refused && (error.status === 429 || (error.status === 503 && error.retryAfter >= 0))) {
        const pause = error.retryAfter >= 0 ? error.retryAfter : 2;
        notice('busy', `The server is busy (${error.message}). This goes on in ${plural(pause, 'second')}.`);
        try {
          await unlessStopped(sleep(pause), signal);
        } finally {
          clearNotice('busy');
        }
      } else {
        throw error;
      }
    }
  }
}
