/** A shop kept by Drizzle. Returns what it saw, line by line: the same from a server and from a proxy in front of it. */
import { and, asc, count, desc, eq, gt, inArray, isNull, lt, sql, sum } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import { join } from 'node:path';
import { root } from '../../support/repository.ts';
import { eightWorkers, failure, retrying, type Statement } from '../orm/statements.ts';
import * as schema from './schema.ts';

const { customers, orderItems, orders, products } = schema;

type Show = (what: string, ...values: readonly unknown[]) => void;
type Database = NodePgDatabase<typeof schema>;

export async function drizzleScenario(connectionString: string, statements: Statement[]): Promise<string> {
  const lines: string[] = [];
  const show: Show = (what, ...values) => void lines.push(`${what}: ${JSON.stringify(values)}`);
  const pool = new pg.Pool({ connectionString, application_name: 'scenario', max: 8 });
  const logger = { logQuery: (text: string, values: unknown[]) => void statements.push({ text, values }) };
  const db = drizzle(pool, { schema, logger });
  try {
    const migrationsFolder = join(root, 'tests', 'clients', 'orm-drizzle', 'migrations');
    await migrate(db, { migrationsFolder });
    await migrate(db, { migrationsFolder });
    show('migrated', (await db.execute(sql`SELECT id, created_at FROM drizzle.__drizzle_migrations ORDER BY id`)).rows);
    show('seed', await db.select().from(products).orderBy(products.id).limit(3));
    show(
      'customers',
      await db.select({ id: customers.id, labels: customers.labels }).from(customers).orderBy(customers.id),
    );
    await db.insert(customers).values({ email: 'shared@example.org' });
    const prepared = prepare(db);
    await eightWorkers((worker) => buy(db, prepared, worker));
    await look(db, show);
    await refused(db, show);
  } finally {
    await pool.end();
  }
  return lines.join('\n');
}

/** Statements that are prepared under a name on each connection that runs them. */
function prepare(db: Database) {
  return {
    addOrder: db
      .insert(orders)
      .values({ customerId: sql.placeholder('customer') })
      .returning({ id: orders.id, status: orders.status, version: orders.version })
      .prepare('add_order'),
    addItem: db
      .insert(orderItems)
      .values({
        orderId: sql.placeholder('order'),
        productId: sql.placeholder('product'),
        quantity: sql.placeholder('quantity'),
        cents: sql.placeholder('cents'),
      })
      .onConflictDoUpdate({
        target: [orderItems.orderId, orderItems.productId],
        set: { quantity: sql`${orderItems.quantity} + excluded.quantity` },
      })
      .prepare('add_item'),
    take: db
      .update(products)
      .set({ stock: sql`${products.stock} - ${sql.placeholder('quantity')}` })
      .where(and(eq(products.sku, sql.placeholder('sku')), gt(products.stock, 0)))
      .returning({ id: products.id, cents: products.cents, euros: products.euros })
      .prepare('take'),
    visit: db
      .insert(customers)
      .values({ email: sql.placeholder('email'), profile: { visits: 1 } })
      .onConflictDoUpdate({
        target: customers.email,
        set: {
          profile: sql`jsonb_set(${customers.profile}, '{visits}', to_jsonb(coalesce((${customers.profile} ->> 'visits')::int, 0) + 1))`,
        },
      })
      .prepare('visit'),
    drop: db
      .delete(orderItems)
      .where(and(eq(orderItems.orderId, sql.placeholder('order')), lt(orderItems.quantity, sql.placeholder('less'))))
      .prepare('drop'),
    ofCustomer: db.query.orders
      .findMany({
        where: eq(orders.customerId, sql.placeholder('customer')),
        with: { items: { with: { product: true } } },
        orderBy: asc(orders.createdAt),
      })
      .prepare('of_customer'),
  };
}

/** What each worker does: by itself, and to the products that all of them sell. */
async function buy(db: Database, prepared: ReturnType<typeof prepare>, worker: number): Promise<void> {
  const email = `customer${worker}@example.org`;
  const [customer] = await db
    .insert(customers)
    .values({ email, profile: { city: "Saint-Jean-d'Angély" }, labels: ['new', `number ${worker}`] })
    .returning();
  if (customer === undefined) throw new Error('an inserted row is returned');
  await db
    .insert(orders)
    .values(Array.from({ length: 15 }, () => ({ customerId: customer.id, status: 'paid' as const })));
  for (let round = 1; round <= 3; round += 1) {
    const [order] = await prepared.addOrder.execute({ customer: customer.id });
    if (order === undefined) throw new Error('an inserted row is returned');
    const sku = `sku-${1 + ((worker + round) % 10)}`;
    const [taken] = await retrying(() => prepared.take.execute({ sku, quantity: round }));
    if (taken === undefined) throw new Error('there is enough of it');
    const item = { order: order.id, product: taken.id, cents: taken.cents };
    await prepared.addItem.execute({ ...item, quantity: round });
    await prepared.addItem.execute({ ...item, quantity: 1 });
    if (round === 2) await prepared.drop.execute({ order: order.id, less: 10 });
    await retrying(() => prepared.visit.execute({ email: 'shared@example.org' }));
    await retrying(() => sell(db, order.id, `sku-${worker + 1}`, 'sku-1'));
    await pay(db, order.id, order.version);
  }
  const [newest] = await db
    .select()
    .from(orders)
    .where(eq(orders.customerId, customer.id))
    .orderBy(desc(orders.id))
    .limit(1);
  const [soft] = await prepared.ofCustomer.execute({ customer: customer.id });
  if (newest === undefined || soft === undefined) throw new Error('there are orders');
  await db
    .update(orders)
    .set({ deletedAt: sql`now()` })
    .where(and(eq(orders.id, soft.id), isNull(orders.deletedAt)));
  const shipped = db.select({ id: orders.id }).from(orderItems).innerJoin(orders, eq(orders.id, orderItems.orderId));
  await db
    .update(orders)
    .set({ status: 'shipped' })
    .where(inArray(orders.id, shipped.where(eq(orders.customerId, customer.id))));
  await db.update(customers).set({ labels: sql`array_append(labels, 'old')` }).where(eq(customers.email, email));
  const [leaving] = await db
    .insert(customers)
    .values({ email: `leaving${worker}@example.org` })
    .returning();
  if (leaving === undefined) throw new Error('an inserted row is returned');
  await db.insert(orders).values([{ customerId: leaving.id }, { customerId: leaving.id, status: 'shipped' }]);
  await db.delete(customers).where(eq(customers.id, leaving.id));
}

/** Two products in one transaction, locked in the order of their names; an inner transaction of which nothing stays. */
async function sell(db: Database, orderId: string, ...skus: readonly string[]): Promise<void> {
  await db.transaction(async (tx) => {
    const locked = tx
      .select({ id: products.id, cents: products.cents })
      .from(products)
      .where(inArray(products.sku, [...skus]));
    const found = await locked.orderBy(products.sku).for('update');
    for (const { id, cents } of found) {
      await tx.insert(orderItems).values({ orderId, productId: id, cents }).onConflictDoNothing();
      await tx
        .update(products)
        .set({ stock: sql`${products.stock} - 1` })
        .where(eq(products.id, id));
    }
    await failure(
      tx.transaction(async (inner) => {
        await inner
          .update(products)
          .set({ title: 'lost' })
          .where(inArray(products.sku, [...skus]));
        await inner.insert(orderItems).values({ orderId, productId: -1 });
      }),
    );
    await failure(
      tx.transaction(async (inner) => {
        await inner.delete(orderItems).where(eq(orderItems.orderId, orderId));
        inner.rollback();
      }),
    );
  });
}

/** Optimistic locking: the second with the same version changes nothing. */
async function pay(db: Database, id: string, version: number): Promise<void> {
  const changes = [];
  for (const status of ['paid', 'open'] as const) {
    const one = db.update(orders).set({ status, version: sql`${orders.version} + 1` });
    changes.push((await one.where(and(eq(orders.id, id), eq(orders.version, version)))).rowCount);
  }
  if (changes.join() !== '1,0') throw new Error(`one change with a version, not ${changes.join()}`);
}

/** What is there in the end. */
async function look(db: Database, show: Show): Promise<void> {
  for (const table of [customers, products, orders, orderItems]) show('count', await db.$count(table));
  show(
    'stock',
    await db
      .select({ sku: products.sku, stock: products.stock, title: products.title })
      .from(products)
      .orderBy(products.id),
  );
  const perStatus = db.select({ status: orders.status, version: orders.version, orders: count() }).from(orders);
  show('orders', await perStatus.groupBy(orders.status, orders.version).orderBy(orders.status, orders.version));
  show('shared', (await db.select().from(customers).where(eq(customers.email, 'shared@example.org')))[0]?.profile);
  const third = await db.query.customers.findFirst({
    where: eq(customers.email, 'customer3@example.org'),
    with: {
      orders: { where: isNull(orders.deletedAt), with: { items: { columns: { quantity: true, cents: true } } } },
    },
  });
  show(
    'third',
    third?.profile,
    third?.labels,
    third?.orders.length,
    third?.orders.flatMap(({ items }) => items.map((i) => [i.cents, i.quantity])).toSorted(),
  );
  for (let page = 0; page < 3; page += 1) {
    const spent = sum(sql`${orderItems.cents} * ${orderItems.quantity}`);
    const found = db.select({ email: customers.email, spent, items: count() }).from(customers);
    const joined = found
      .innerJoin(orders, eq(orders.customerId, customers.id))
      .innerJoin(orderItems, eq(orderItems.orderId, orders.id));
    show(
      'page',
      page,
      await joined
        .groupBy(customers.email)
        .orderBy(customers.email)
        .limit(3)
        .offset(3 * page),
    );
  }
  show('deleted softly', await db.$count(orders, gt(orders.deletedAt, new Date(0))));
  show('changed', await db.$count(customers, gt(customers.updatedAt, customers.createdAt)));
}

/** Errors as Drizzle tells them. */
async function refused(db: Database, show: Show): Promise<void> {
  show('unique', await failure(db.insert(customers).values({ email: 'first@example.org' }).execute()));
  show('check', await failure(db.update(products).set({ stock: -1 }).where(eq(products.sku, 'sku-1')).execute()));
  show('restrict', await failure(db.delete(products).where(eq(products.sku, 'sku-2')).execute()));
  show('raw', await failure(db.execute(sql`UPDATE products SET cents = cents / 0 WHERE id = ${1}`).execute()));
  const ended = db.transaction(async (tx) => {
    await failure(tx.insert(customers).values({ email: 'first@example.org' }).execute());
    await tx.insert(customers).values({ email: 'third@example.org' });
  });
  show('failed transaction', await failure(ended));
}
