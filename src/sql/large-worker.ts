/** The thread of `LargeAnalyser`: takes a text, answers with its analysis. */
import { parentPort } from 'node:worker_threads';
import { Analyser, loadParser } from './analyse.ts';
import type { LargeRequest } from './large-analyser.ts';

/** Large texts do not come twice: nothing is worth keeping. */
const CACHE = 1;
/** A text of this size, constants aside, is read within seconds. */
const LIMIT_BYTES = 8 * 1024 * 1024;

await loadParser();
const analyser = new Analyser({ cacheSize: CACHE, sizeLimitBytes: LIMIT_BYTES });
parentPort?.on('message', ({ text, lexis }: LargeRequest) => {
  parentPort?.postMessage(analyser.analyse(Buffer.from(text.buffer, text.byteOffset, text.byteLength), lexis));
});
