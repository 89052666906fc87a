INSERT INTO "products" ("sku", "name", "price", "stock") SELECT 'sku-' || n, 'Product ' || n, n * 1.25, 1000 FROM generate_series(1, 10) AS n;--> statement-breakpoint
INSERT INTO "customers" ("email", "labels") VALUES ('first@example.org', ARRAY['vip', 'it''s']), ('second@example.org', DEFAULT);
