ALTER TYPE "public"."order_status" ADD VALUE 'shipped';--> statement-breakpoint
ALTER TABLE "products" ADD COLUMN "cents" integer;--> statement-breakpoint
UPDATE "products" SET "cents" = ("price" * 100)::integer;--> statement-breakpoint
ALTER TABLE "products" ALTER COLUMN "cents" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "products" DROP COLUMN "price";--> statement-breakpoint
ALTER TABLE "products" RENAME COLUMN "name" TO "title";--> statement-breakpoint
ALTER TABLE "order_items" ADD COLUMN "cents" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "products" ADD COLUMN "euros" numeric(10, 2) GENERATED ALWAYS AS ("cents" / 100.0) STORED;
