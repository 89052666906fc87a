/**
 * Texts that would hold the event loop for too long are read in a thread of their own, one after the other, each within a
 * deadline. Its thread is started with the first of them.
 */
import { Worker } from 'node:worker_threads';
import type { Analysis, Lexis } from './statement.ts';

export interface LargeRequest {
  readonly text: Uint8Array;
  readonly lexis: Lexis;
}

interface Job extends LargeRequest {
  readonly done: (analysis: Analysis) => void;
}

const TOO_LARGE: Analysis = { kind: 'unreadable', why: 'size' };

/** Texts waiting for their turn: beyond that a text counts as too large. */
const QUEUE_LIMIT = 64;
/** A text that takes longer is refused, and the thread with it. */
const DEADLINE_MS = 10_000;

export class LargeAnalyser {
  readonly #jobs: Job[] = [];
  #worker: Worker | undefined;
  #deadline: NodeJS.Timeout | undefined;

  /** `text` is copied. Never rejects: what cannot be read in time is `unreadable` for its size. */
  analyse(text: Buffer, lexis: Lexis): Promise<Analysis> {
    if (this.#jobs.length >= QUEUE_LIMIT) return Promise.resolve(TOO_LARGE);
    return new Promise((done) => {
      this.#jobs.push({ text: Uint8Array.from(text), lexis, done });
      if (this.#jobs.length === 1) this.#next();
    });
  }

  close(): void {
    for (const { done } of this.#jobs.splice(0)) done(TOO_LARGE);
    this.#drop();
  }

  #next(): void {
    const job = this.#jobs[0];
    if (job === undefined) return;
    this.#worker ??= this.#start();
    this.#deadline = setTimeout(() => {
      this.#drop();
      this.#finish(TOO_LARGE);
    }, DEADLINE_MS);
    const request: LargeRequest = { text: job.text, lexis: job.lexis };
    this.#worker.postMessage(request);
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./large-worker.${extension}`, import.meta.url));
    worker.unref();
    worker.on('message', (analysis: Analysis) => this.#finish(analysis));
    worker.on('error', () => {
      this.#drop();
      this.#finish(TOO_LARGE);
    });
    return worker;
  }

  #finish(analysis: Analysis): void {
    clearTimeout(this.#deadline);
    this.#jobs.shift()?.done(analysis);
    this.#next();
  }

  #drop(): void {
    clearTimeout(this.#deadline);
    void this.#worker?.terminate();
    this.#worker = undefined;
  }
}
