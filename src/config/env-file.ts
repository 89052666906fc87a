/** The `.env` file of the working folder. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'dotenv';
import type { Environment } from './dsn.ts';
import type { Problem } from './problem.ts';
import { variables } from './settings.ts';

export type EnvFileResult =
  /** The environment with what the file adds to it: a variable that is set, even to nothing, is not changed. */
  | { readonly kind: 'environment'; readonly environment: Environment }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] };

/** A file that is missing is as good as an empty one. `environment` is not changed. */
export function addEnvFile(environment: Environment, folder: string): EnvFileResult {
  const path = join(folder, '.env');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return { kind: 'environment', environment };
    const hint = 'Make it readable for the user that pprox runs as, move it away, or start pprox in another folder.';
    return {
      kind: 'invalid',
      problems: [{ variable: '.env', message: `${path} cannot be read (${String(code)})`, hint }],
    };
  }
  const problems = findCutValues(text, environment);
  if (problems.length > 0) return { kind: 'invalid', problems };
  return { kind: 'environment', environment: { ...parse(text), ...dropUndefined(environment) } };
}

/** An unquoted value ends at a `#`: a password with one would lose its end without a word. */
function findCutValues(text: string, environment: Environment): readonly Problem[] {
  return variables
    .filter(({ variable }) => environment[variable] === undefined && hasCutValue(text, variable))
    .map(({ variable }) => ({
      variable,
      message: 'its value in the .env file has a # and no quotes, and would end there',
      hint: 'Put the value in single quotes; for a comment, put a space before the #.',
    }));
}

function hasCutValue(text: string, variable: string): boolean {
  const line = new RegExp(`^[ \\t]*(?:export[ \\t]+)?${variable}[ \\t]*[=:][ \\t]*([^\\s'"\`#][^\\r\\n]*)`, 'gm');
  return [...text.matchAll(line)].some(([, value = '']) => /^[^#]*[^\s#]#/.test(value));
}

function dropUndefined(environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined));
}
