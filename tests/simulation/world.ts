/**
 * Simulated time: events in the order of their moments, one after the other, nothing of it real. Whatever happens follows
 * from the seed.
 */
import type { Bugs } from './bugs.ts';
import type { Config } from './config.ts';
import type { Random } from './random.ts';
import { Truth, Violation } from './truth.ts';

/** One event to come. */
export interface Timer {
  readonly at: number;
  readonly order: number;
  /** Undefined: cancelled, or over. */
  run: (() => void) | undefined;
}

/** What a party is just doing, as a place to strike at. */
export interface Moment {
  readonly what: string;
  readonly party: Party;
}

/** Whatever can be struck. `stop`: it does nothing for a while, and then goes on as if nothing had been. */
export interface Party {
  readonly name: string;
  crash(downMs: number): void;
  stop(forMs: number): void;
}

export class World {
  readonly random: Random;
  readonly config: Config;
  readonly bugs: Bugs;
  readonly truth: Truth;
  /** Milliseconds. */
  now = 0;
  /** Events so far. */
  steps = 0;
  /** False: nothing breaks any more. */
  faulty = true;
  /** Told of every moment of a commit. */
  strike: (moment: Moment) => void = () => {};
  readonly #heap: Timer[] = [];
  readonly #trace: ((line: string) => void) | undefined;
  #order = 0;

  constructor(parts: {
    readonly random: Random;
    readonly config: Config;
    readonly bugs: Bugs;
    readonly trace: ((line: string) => void) | undefined;
  }) {
    this.random = parts.random;
    this.config = parts.config;
    this.bugs = parts.bugs;
    this.truth = new Truth(this);
    this.#trace = parts.trace;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.at(this.now + delayMs, run);
  }

  at(moment: number, run: () => void): Timer {
    const timer: Timer = { at: moment, order: this.#order++, run };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(timer);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Timer;
      if (!before(timer, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = timer;
    return timer;
  }

  cancel(timer: Timer | undefined): void {
    if (timer !== undefined) timer.run = undefined;
  }

  /** Runs what comes until the moment, or until `done`. */
  runUntil(moment: number, done: () => boolean = () => false): void {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > moment) break;
      this.#removeFirst();
      const { run } = next;
      if (run === undefined) continue;
      next.run = undefined;
      this.now = next.at;
      this.steps += 1;
      if (this.steps > this.config.maxSteps) throw new Violation(`no end after ${this.steps} events`);
      run();
      if (done()) return;
    }
    this.now = Math.max(this.now, moment);
  }

  get tracing(): boolean {
    return this.#trace !== undefined;
  }

  /** The text is made only where somebody reads it. */
  log(text: () => string): void {
    this.#trace?.(`${this.now.toFixed(3).padStart(12)} ${text()}`);
  }

  /** How long a message is under way, on a connection that is so many times as slow as the fastest. */
  delay(pace: number): number {
    const { random, config } = this;
    return this.faulty && random.chance(config.slowMessages)
      ? random.magnitude(1, config.slowestMs)
      : pace * random.between(0.05, 1);
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    const size = heap.length;
    if (size === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1] as Timer, heap[child] as Timer)) child += 1;
      const below = heap[child] as Timer;
      if (!before(below, last)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }
}

function before(one: Timer, other: Timer): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
