/** A shop as Drizzle's users write it down, as it is after the last of its migrations. */
import { relations, sql } from 'drizzle-orm';
import * as p from 'drizzle-orm/pg-core';

export const orderStatus = p.pgEnum('order_status', ['open', 'paid', 'shipped']);

const moment = (name: string) => p.timestamp(name, { withTimezone: true });

export const customers = p.pgTable('customers', {
  id: p.serial('id').primaryKey(),
  email: p.varchar('email', { length: 200 }).notNull().unique(),
  profile: p.jsonb('profile').$type<{ readonly city?: string; readonly visits?: number }>().notNull().default({}),
  labels: p.text('labels').array().notNull().default([]),
  createdAt: moment('created_at').notNull().defaultNow(),
  updatedAt: moment('updated_at')
    .notNull()
    .defaultNow()
    .$onUpdate(() => sql`now()`),
});

export const products = p.pgTable('products', {
  id: p.integer('id').primaryKey().generatedAlwaysAsIdentity(),
  sku: p.text('sku').notNull().unique(),
  title: p.text('title').notNull(),
  cents: p.integer('cents').notNull(),
  stock: p.integer('stock').notNull().default(0),
  euros: p.numeric('euros', { precision: 10, scale: 2 }).generatedAlwaysAs(sql`"cents" / 100.0`),
});

export const orders = p.pgTable('orders', {
  id: p.uuid('id').primaryKey().defaultRandom(),
  customerId: p
    .integer('customer_id')
    .notNull()
    .references(() => customers.id, { onDelete: 'cascade' }),
  status: orderStatus('status').notNull().default('open'),
  version: p.integer('version').notNull().default(1),
  createdAt: moment('created_at').notNull().defaultNow(),
  deletedAt: moment('deleted_at'),
});

export const orderItems = p.pgTable(
  'order_items',
  {
    orderId: p
      .uuid('order_id')
      .notNull()
      .references(() => orders.id, { onDelete: 'cascade' }),
    productId: p
      .integer('product_id')
      .notNull()
      .references(() => products.id, { onDelete: 'restrict' }),
    quantity: p.integer('quantity').notNull().default(1),
    cents: p.integer('cents').notNull().default(0),
  },
  (table) => [p.primaryKey({ columns: [table.orderId, table.productId] })],
);

export const customersRelations = relations(customers, ({ many }) => ({ orders: many(orders) }));
export const ordersRelations = relations(orders, ({ one, many }) => ({
  customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
  items: many(orderItems),
}));
export const orderItemsRelations = relations(orderItems, ({ one }) => ({
  order: one(orders, { fields: [orderItems.orderId], references: [orders.id] }),
  product: one(products, { fields: [orderItems.productId], references: [products.id] }),
}));
