/** A blog kept by TypeORM. Returns what it saw, line by line: the same from a server and from a proxy in front of it. */
import { DataSource, type EntityManager, type Logger, In, IsNull, LessThan, MoreThan } from 'typeorm';
import { eightWorkers, failure, retrying, type Statement } from '../orm/statements.ts';
import { CommentEntity, type Post, PostEntity, TagEntity, UserEntity } from './entities.ts';
import { migrations } from './migrations.ts';

type Show = (what: string, ...values: readonly unknown[]) => void;

export async function typeormScenario(url: string, statements: Statement[]): Promise<string> {
  const lines: string[] = [];
  const show: Show = (what, ...values) => void lines.push(`${what}: ${JSON.stringify(values)}`);
  const source = new DataSource({
    type: 'postgres',
    url,
    applicationName: 'scenario',
    poolSize: 8,
    entities: [UserEntity, PostEntity, TagEntity, CommentEntity],
    migrations,
    logger: loggerInto(statements),
  });
  await source.initialize();
  try {
    await migrate(source, show);
    await eightWorkers((worker) => write(source, worker));
    await eightWorkers((worker) => meet(source, worker));
    await look(source, show);
    await refused(source, show);
  } finally {
    await source.destroy();
  }
  return lines.join('\n');
}

function loggerInto(statements: Statement[]): Logger {
  const ignore = (): void => undefined;
  return {
    logQuery: (text, values) => void statements.push({ text, values: Array.isArray(values) ? values : [] }),
    logQueryError: ignore,
    logQuerySlow: ignore,
    logSchemaBuild: ignore,
    logMigration: ignore,
    log: ignore,
  };
}

/** Up, down to nothing, up again; and what TypeORM would still change, which it finds by reading the catalog. */
async function migrate(source: DataSource, show: Show): Promise<void> {
  const up = async (transaction: 'all' | 'each'): Promise<void> => {
    show('up', ...(await source.runMigrations({ transaction })).map(({ name }) => name));
    show('users', await source.query('SELECT email, display_name, role, credits, version FROM users ORDER BY id'));
    show(
      'posts',
      await source.query('SELECT title, body, slug ~ $1 AS slug FROM posts ORDER BY title', ['^first-words']),
    );
  };
  await up('each');
  await source.undoLastMigration({ transaction: 'each' });
  show('before slugs', await source.query('SELECT name, role FROM users ORDER BY id LIMIT 3'));
  for (const _ of migrations.slice(1)) await source.undoLastMigration();
  show('tables left', await source.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"));
  await up('all');
  show(
    'to be changed',
    (await source.driver.createSchemaBuilder().log()).upQueries.map(({ query }) => query),
  );
}

const emailOf = (worker: number): string => `worker${worker}@example.org`;

/** What each worker does by itself. */
async function write(source: DataSource, worker: number): Promise<void> {
  const [users, posts, tags, comments] = [
    source.getRepository(UserEntity),
    source.getRepository(PostEntity),
    source.getRepository(TagEntity),
    source.getRepository(CommentEntity),
  ];
  const user = await users.save({
    email: emailOf(worker),
    displayName: `Worker ${worker}`,
    settings: { theme: 'dark' },
  });
  const named = (name: string): Pick<Post, 'title' | 'slug' | 'body' | 'authorId'> => ({
    title: `${name} of ${worker}`,
    slug: `${name}-${worker}`,
    body: "it's $1 ünï 😀",
    authorId: user.id,
  });
  await posts.insert(Array.from({ length: 20 }, (_, n) => named(`post-${n}`)));
  // A graph of objects in one save: the post, new tags, rows of the join table, comments.
  const post = await posts.save(
    posts.create({
      ...named('graph'),
      tags: [{ name: `tag-${worker}-a` }, { name: `tag-${worker}-b` }],
      comments: [{ body: 'first', authorId: user.id }, { body: 'second' }],
    }),
  );
  const [first] = await comments.find({ where: { postId: post.id }, order: { body: 'ASC' } });
  await comments.save([1, 2, 3].map((n) => ({ body: `reply ${n}`, postId: post.id, parent: first ?? null })));
  await posts.save({ ...post, title: 'renamed', tags: (post.tags ?? []).slice(0, 1) });
  await users.update(
    { id: user.id },
    { settings: { theme: 'light', tags: ['a', "b'"] }, displayName: () => 'upper(display_name)' },
  );
  await posts.update({ authorId: user.id, slug: In([`post-1-${worker}`, `post-2-${worker}`]) }, { body: null });
  await tags.upsert(
    [
      { name: `own-${worker}`, uses: 1 },
      { name: `tag-${worker}-a`, uses: 5 },
    ],
    ['name'],
  );
  await tags.delete({ name: `own-${worker}` });
  await source
    .createQueryBuilder()
    .insert()
    .into(TagEntity)
    .values({ name: `tag-${worker}-b` })
    .orIgnore()
    .execute();

  const softly = await posts.findOneOrFail({ where: { slug: `post-3-${worker}` }, relations: { comments: true } });
  await posts.softRemove(softly);
  await posts.softDelete({ authorId: user.id, slug: In([`post-4-${worker}`, `post-5-${worker}`]) });
  await posts.restore({ slug: `post-4-${worker}` });
  await posts.delete({ slug: `post-6-${worker}` });
  await posts.remove(await posts.findBy({ authorId: user.id, slug: `post-7-${worker}` }));
  await rolledBack(source, worker, user.id);

  // Somebody whose posts and comments go with them, and whose comments elsewhere stay without an author.
  const leaving = await users.save({ email: `leaving${worker}@example.org`, displayName: 'Leaving' });
  const [theirs] = (await posts.insert({ ...named('leaving'), authorId: leaving.id })).identifiers;
  await comments.insert([
    { body: 'goes', postId: String(theirs?.['id']), authorId: user.id },
    { body: 'stays', postId: post.id, authorId: leaving.id },
  ]);
  await users.delete(leaving.id);
}

/** A transaction that fails, and one whose inner half fails. */
async function rolledBack(source: DataSource, worker: number, authorId: number): Promise<void> {
  const failed = await failure(
    source.transaction(async (manager) => {
      await manager.getRepository(TagEntity).insert({ name: `lost-${worker}` });
      await manager.getRepository(PostEntity).insert({ title: 'lost', slug: `post-1-${worker}`, authorId });
    }),
  );
  if (failed[0] !== '23505') throw new Error(`the slug is there already: ${failed.join()}`);
  await source.transaction(async (manager) => {
    await manager.getRepository(TagEntity).insert({ name: `kept-${worker}` });
    await failure(
      manager.transaction(async (inner) => {
        await inner.getRepository(TagEntity).insert({ name: `inner-${worker}` });
        throw new RangeError('the application has changed its mind');
      }),
    );
    await manager.getRepository(TagEntity).update({ name: `kept-${worker}` }, { uses: worker });
  });
}

/** What all workers do to the same rows. */
async function meet(source: DataSource, worker: number): Promise<void> {
  const tags = source.getRepository(TagEntity);
  for (let round = 1; round <= 2; round += 1) {
    await retrying(() => tags.upsert({ name: 'shared' }, ['name']));
    await retrying(() => tags.increment({ name: 'shared' }, 'uses', 1));
    await retrying(() => changeShared(source));
    const [low, high] = [1 + ((worker + round) % 4), 5 + (worker % 3)];
    const [from, to] = worker % 2 === 0 ? [low, high] : [high, low];
    await retrying(() => source.transaction((manager) => transfer(manager, from, to)));
    await retrying(() =>
      source.query('UPDATE posts SET views = views + $1 WHERE body = md5($2) RETURNING views', [
        1,
        'seed4@example.org',
      ]),
    );
  }
}

/** Optimistic locking, by the version that was read: tried again until nobody was faster. */
async function changeShared(source: DataSource): Promise<void> {
  const users = source.getRepository(UserEntity);
  for (;;) {
    const { id, version, settings } = await users.findOneByOrFail({ email: 'seed1@example.org' });
    const changed = { settings: { ...settings, changes: (settings.changes ?? 0) + 1 } };
    const { affected } = await users.update({ id, version }, changed);
    if (affected === 1) return;
  }
}

/** Pessimistic locking, of two rows in whatever order: deadlocks are to be expected. */
async function transfer(manager: EntityManager, from: number, to: number): Promise<void> {
  const users = manager.getRepository(UserEntity);
  const lockOne = (n: number): Promise<{ readonly id: number }> =>
    users.findOneOrFail({ where: { email: `seed${n}@example.org` }, lock: { mode: 'pessimistic_write' } });
  const [payer, payee] = [await lockOne(from), await lockOne(to)];
  await users.decrement({ id: payer.id }, 'credits', '0.25');
  await users.increment({ id: payee.id }, 'credits', '0.25');
}

/** What is there in the end. */
async function look(source: DataSource, show: Show): Promise<void> {
  const posts = source.getRepository(PostEntity);
  for (const entity of [UserEntity, PostEntity, TagEntity, CommentEntity]) {
    show('count', entity.options.name, await source.getRepository(entity).count());
  }
  const order = { slug: 'ASC' } as const;
  const own = { author: { email: emailOf(3) } };
  for (let page = 0; page < 4; page += 1) {
    const [found, total] = await posts.findAndCount({ where: own, order, skip: page * 5, take: 5 });
    show(
      'page',
      page,
      total,
      found.map(({ slug, title, body, version }) => [slug, title, body, version]),
    );
  }
  const whole = await posts.findOneOrFail({
    where: { slug: 'graph-5' },
    relations: { author: true, tags: true, comments: { replies: true, author: true } },
    order: { comments: { body: 'ASC', replies: { body: 'ASC' } } },
  });
  const bodies = whole.comments?.map(({ body, author, replies }) => [body, author?.email, replies?.map((r) => r.body)]);
  show(
    'graph',
    whole.author?.displayName,
    whole.author?.settings,
    whole.tags?.map(({ name }) => name),
    bodies,
  );
  const deleted = { where: { deletedAt: MoreThan(new Date(0)) }, withDeleted: true, order };
  show(
    'softly deleted',
    (await posts.find(deleted)).map(({ slug, version }) => [slug, version]),
  );
  const tags = source.getRepository(TagEntity);
  show(
    'tags',
    (await tags.find({ order: { name: 'ASC' } })).map(({ name, uses }) => [name, uses]),
  );
  const [shared] = await source.getRepository(UserEntity).findBy({ email: 'seed1@example.org' });
  show('shared', shared?.version, shared?.settings);
  show('credits', await source.query('SELECT email, credits FROM users WHERE credits <> 0 ORDER BY email'));
  const perRole = posts.createQueryBuilder('post').innerJoin('post.author', 'author').groupBy('author.role');
  const counted = perRole
    .select('author.role', 'role')
    .addSelect('count(*)::int', 'posts')
    .addSelect('sum(post.views)::int', 'views');
  show('per role', await counted.orderBy('author.role').getRawMany());
  const busy = await posts.find({
    where: { views: MoreThan(0), deletedAt: IsNull() },
    select: { title: true, views: true },
  });
  show(
    'viewed',
    busy.map(({ title, views }) => [title, views]),
  );
  show('early', await posts.countBy({ createdAt: LessThan(new Date('2001-01-01')) }));
}

/** Errors as TypeORM tells them. */
async function refused(source: DataSource, show: Show): Promise<void> {
  const [users, posts] = [source.getRepository(UserEntity), source.getRepository(PostEntity)];
  show('unique', await failure(users.insert({ email: emailOf(1), displayName: 'again' })));
  show('foreign key', await failure(posts.insert({ title: 'x', slug: 'x', authorId: -1 })));
  show('not null', await failure(source.query('INSERT INTO tags (name) VALUES ($1)', [null])));
  show('enum', await failure(source.query("UPDATE users SET role = $1 WHERE email = 'seed1@example.org'", ['owner'])));
  const stale = { where: { email: emailOf(2) }, lock: { mode: 'optimistic', version: 1 } } as const;
  show('stale', await failure(users.findOneOrFail(stale)));
  show('syntax', await failure(source.query('SELECT FROM WHERE')));
}
